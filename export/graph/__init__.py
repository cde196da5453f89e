"""A model in the shape of graphs: what every target's writer begins with."""

from __future__ import annotations
