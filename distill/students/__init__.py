"""The students that the recipe trains, one file each: distill/student.py says what STUDENT has."""

from __future__ import annotations

from distill.student import Student
from edge_runtime.registry import Registry

STUDENTS = Registry[Student]("distill.students", "STUDENT", "student")
