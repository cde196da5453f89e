"""Holds for every test."""

from __future__ import annotations

import os

# No test may fetch anything; read when huggingface_hub is first imported.
os.environ["HF_HUB_OFFLINE"] = "1"
