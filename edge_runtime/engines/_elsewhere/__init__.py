"""Targets whose bundles other programs run: one file each, which says how."""

from __future__ import annotations
