"""Page layouts: one file each, with its LAYOUT."""

from __future__ import annotations

from edge_runtime.page.layout import Layout
from edge_runtime.registry import Registry

REGISTRY: Registry[Layout] = Registry("edge_runtime.page.layouts", "LAYOUT", "layout")


def _place(layout: Layout) -> tuple[int, int, str]:
    return len(layout.rows), -len(layout.rhythm), layout.name


PLAIN = "3x4+rhythm"  # of a page that is drawn without a wish

# By name; few rows first.
LAYOUTS = {layout.name: layout for layout in sorted((found for _, found in REGISTRY.all()), key=_place)}
