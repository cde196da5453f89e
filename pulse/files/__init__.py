"""Files and memory: output folders that appear whole or not at all, and what a run may hold."""

from __future__ import annotations
