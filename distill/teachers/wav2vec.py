"""A signal teacher begun with ECG-FM's recipe (distill/pretraining/recipes/wav2vec.py)."""

from __future__ import annotations

from distill.teachers._pretrained import PretrainedTeacher

TEACHER = PretrainedTeacher(name="wav2vec")
