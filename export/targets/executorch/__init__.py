"""Target "executorch"."""

from __future__ import annotations
