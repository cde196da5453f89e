"""The models that a benchmark asks: bundles as a device runs them, checkpoints by torch, and many pictures at once."""

from __future__ import annotations
