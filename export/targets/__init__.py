"""What a checkpoint can be exported to: one module or package a target, found by its name here (export.target)."""

from __future__ import annotations
