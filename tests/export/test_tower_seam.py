"""A stranger's vision tower is one file: the example of the docs, put into a copy of the house, exported and asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pulse.checkpoint.checkpoint import Checkpoint
from tests.house import House

PACKAGES = ("edge_runtime", "pulse", "quantize", "export")
MAKE = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.store import save_checkpoint
from pulse.model.llava import Llava
from pulse.model.tower import TOWERS
given = Checkpoint.open(sys.argv[1])
size = given.config.vision
tower = TOWERS.load("patch").config(height=size.height, width=size.width, in_channels=size.in_channels)
config = replace(given.config, vision=tower, name="patched")
torch.manual_seed(0)
save_checkpoint(Path(sys.argv[2]), config, Llava(config).state_dict(), given.folder / "tokenizer.json")
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House.build(tmp_path_factory.mktemp("house"), PACKAGES, {"tower.py": "pulse/model/towers/patch.py"})


def test_a_checkpoint_with_the_tower_is_exported_verified_and_asked(
    house: House, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    house.script(MAKE, checkpoint.folder, tmp_path / "patched")
    on = ["--pages", pages[0].parent]
    printed = house.prints("export.cli", tmp_path / "patched", "--target", "onnx", "--out", tmp_path / "b", *on)
    assert "certificate: pass" in printed
    house.prints("export.verify_cli", tmp_path / "b", "--model", tmp_path / "patched", *on)
    answer = json.loads(house.prints("edge_runtime.ask", tmp_path / "b", pages[0], "--allow-non-ecg", "--json"))
    assert answer["model"] == "patched"


def test_a_version_without_the_tower_names_those_that_it_has(
    house: House, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    config = json.loads((checkpoint.folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vision_config": {"kind": "patch"}}))
    with pytest.raises(ValueError, match=r"config\.json: vision tower 'patch' .* use one of clip, conv, efficient"):
        Checkpoint.open(tmp_path)
