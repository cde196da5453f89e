"""Target "coreml"."""

from __future__ import annotations
