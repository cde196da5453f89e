"""What answers are scored on: one file or package a task."""

from __future__ import annotations
