"""Vision towers: one file a tower."""

from __future__ import annotations
