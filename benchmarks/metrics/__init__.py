"""Figures with their intervals."""

from __future__ import annotations
