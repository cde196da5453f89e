"""What is measured, and where: models (bundles as a device runs them, checkpoints by torch), asked about many pictures
at once, and the machine."""

from __future__ import annotations
