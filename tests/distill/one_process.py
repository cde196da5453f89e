"""What each process of tests/distill/test_distributed.py runs: both stages of a tiny student, into a folder of its own.

one_process.py PTBXL_DIR OUT ACCUMULATE: OUT holds a whole run without its decoder, which is trained here; a tower
without batch norms, whose statistics would be each process' own, is trained into OUT/tower.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from distill.dataset_cache import open_dataset_cache
from distill.distributed import Distributed
from distill.recipe import Recipe, distill
from distill.tower import train_tower
from distill.training_set import split


def main(recipe: Recipe, ptbxl: Path, out: Path, accumulate: int) -> None:
    cpu = torch.device("cpu")
    distill(ptbxl, out, recipe, cpu, accumulate)
    data = split(open_dataset_cache(out / "dataset-cache"), recipe.limit, recipe.student.tower.batch)
    student = replace(recipe.student, vision=replace(recipe.student.vision, batch_norm=False))
    distributed = Distributed(cpu, accumulate)
    train_tower(data, student, out / "tower", distributed)
    if distributed.main:
        (out / "size").write_text(str(distributed.size))


if __name__ == "__main__":
    from conftest import tiny_recipe  # a script's own folder is on its path

    main(tiny_recipe(), Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
