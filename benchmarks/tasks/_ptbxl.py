"""Tasks on pages drawn from a PTB-XL folder: the fold, and how its records are drawn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.sample import FOLD
from benchmarks.task import PLAIN_DPI, Drawn

DATA = "a PTB-XL folder as PhysioNet lays it out, records100"


def add_arguments(parser: argparse._ActionsContainer) -> None:
    from edge_runtime.page.layouts import LAYOUTS, PLAIN
    from pulse.ecg.paper.families import FAMILIES

    parser.add_argument("--fold", type=int, choices=range(1, 11), default=FOLD, metavar="N", help="(%(default)s)")
    parser.add_argument("--layout", choices=LAYOUTS, help=f"of the pages ({PLAIN}, or the family's)")
    parser.add_argument("--family", choices=FAMILIES.names(), help="of pages, each with its own look")
    parser.add_argument("--photo", type=int, metavar="SEED", help="photograph the pages, effects drawn from this seed")
    parser.add_argument("--recordings", action="store_true", help="give the model the records themselves, no pages")
    parser.add_argument("--scene", type=int, metavar="SEED", help="photograph them on a desk, drawn from this seed")


def about(options: argparse.Namespace) -> dict[str, Any]:
    from edge_runtime.page.layouts import PLAIN

    layout = options.layout or (PLAIN if options.family is None else None)  # None: drawn for each page
    seeds = {"photo_seed": options.photo, "scene_seed": options.scene}
    recordings = {"recordings": True} if options.recordings else {}
    return {"fold": options.fold, "layout": layout, "family": options.family, **seeds, **recordings}


def drawn(data: Path, ecg_id: int, options: argparse.Namespace, dpi: float = PLAIN_DPI) -> Drawn:
    return Drawn(data, ecg_id, options.layout, options.photo, options.family, options.scene, dpi, options.recordings)
