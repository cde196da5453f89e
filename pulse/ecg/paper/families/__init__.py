"""Families of pages: one file each, with its FAMILY."""

from __future__ import annotations

from edge_runtime.registry import Registry
from pulse.ecg.paper.family import Family

FAMILIES: Registry[Family] = Registry("pulse.ecg.paper.families", "FAMILY", "page family")
