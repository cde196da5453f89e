"""A signal teacher begun with inter- and intra-period aware pre-training (distill/pretraining/recipes/periods.py)."""

from __future__ import annotations

from distill.teachers._pretrained import PretrainedTeacher

TEACHER = PretrainedTeacher(name="periods")
