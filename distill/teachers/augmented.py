"""A signal teacher begun with PulseNet's policies and wavelet bands (distill/pretraining/recipes/augmented.py)."""

from __future__ import annotations

from distill.teachers._pretrained import PretrainedTeacher

TEACHER = PretrainedTeacher(name="augmented")
