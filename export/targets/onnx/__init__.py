"""Target "onnx"."""

from __future__ import annotations
