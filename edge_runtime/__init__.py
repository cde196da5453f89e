"""The part of pulse-edge that runs where the patient is: bundle in, page image in, words out. No torch, ever."""

from __future__ import annotations

import os

# The project's only version: pyproject.toml and the phones' packages read it here (docs/release.md).
__version__ = "0.2.0"

# ONNX Runtime 1.29 and later give the device an id and report their use to their maker, unless this is set before they
# are loaded (microsoft/onnxruntime, pull request 27379). What a patient's device does stays on it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
