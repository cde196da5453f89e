"""The teachers, one file each: distill/teacher.py says what TEACHER has. Modules with "_" are their helpers."""

from __future__ import annotations

from dataclasses import replace

from distill.teacher import Teacher
from edge_runtime.registry import Registry

TEACHERS = Registry[Teacher]("distill.teachers", "TEACHER", "teacher")


def named(text: str) -> Teacher:
    """The teacher of that name; anything else is MODEL, a checkpoint that teaches."""
    if text in TEACHERS.names():
        return TEACHERS.load(text)
    from distill.teachers.checkpoint import TEACHER

    return replace(TEACHER, model=text)
