"""Target "gguf"."""

from __future__ import annotations
