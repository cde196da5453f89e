"""Holds for every test."""

from __future__ import annotations

import os

# No test may fetch anything; read when huggingface_hub is first imported.
os.environ["HF_HUB_OFFLINE"] = "1"
# Beside another process that tests, a second thread waits for its core more than it computes; read when torch comes.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
