"""A signal teacher begun with ECGBERT's recipe, waves as words (distill/pretraining/recipes/waves_as_words.py)."""

from __future__ import annotations

from distill.teachers._pretrained import PretrainedTeacher

TEACHER = PretrainedTeacher(name="waves-as-words")
