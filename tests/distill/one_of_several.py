"""What each process of tests/distill/test_team.py runs: both stages of a tiny student, into a folder of its own.

one_of_several.py PTBXL_DIR OUT ACCUMULATE: OUT holds a whole run without its decoder, which is trained here; a tower
without batch norms, whose statistics would be each process' own, is trained into OUT/tower.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from distill.dataset_cache import open_pack
from distill.distributed import Team
from distill.recipe import Recipe, distill
from distill.students import NANO
from distill.targets import build_targets
from distill.tower import train_tower


def main(recipe: Recipe, data: Path, out: Path, accumulate: int) -> None:
    cpu = torch.device("cpu")
    distill(data, out, recipe, cpu, accumulate)
    pack = open_pack(out / "pack")
    rows = pack.rows((1,)), pack.rows((9,))
    vision = replace(recipe.vision, batch_norm=False)
    team = Team(cpu, accumulate)
    train_tower(pack, build_targets(pack, rows[0]), rows, vision, NANO.spec, recipe.tower, out / "tower", team)
    if team.main:
        (out / "size").write_text(str(team.size))


if __name__ == "__main__":
    from conftest import tiny_recipe  # a script's own folder is on its path

    main(tiny_recipe(), Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
