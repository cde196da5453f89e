"""Checkpoints on disk: ours and those that others publish."""

from __future__ import annotations
