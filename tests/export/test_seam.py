"""A stranger's target is one file, and its engine another: the examples of the docs, put into a copy of the house."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from export.target import TARGETS
from pulse.checkpoint.checkpoint import Checkpoint
from tests.house import House

PACKAGES = ("edge_runtime", "pulse", "quantize", "export")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    added = {"target.py": "export/targets/pt2.py", "engine.py": "edge_runtime/engines/pt2.py"}
    return House.build(tmp_path_factory.mktemp("house"), PACKAGES, added)


def test_a_target_of_one_file_exports_verifies_and_answers(
    house: House, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    assert "pt2" in house.run("export.cli", "--help").stdout
    on = ["--pages", pages[0].parent]
    refused = house.run("export.cli", checkpoint.folder, "--target", "pt2", "--kv", "int8")
    assert (refused.returncode, "--kv int8 goes with --target onnx, not pt2" in refused.stderr) == (2, True)
    arguments = [checkpoint.folder, "--target", "pt2", "--weights", "float32", "--out", tmp_path / "b", *on]
    exported = house.run("export.cli", *arguments)
    assert exported.returncode == 0, exported.stderr[-3000:]
    assert "certificate: pass (run by the runtime's own engine)" in exported.stdout
    verified = house.run("export.verify_cli", tmp_path / "b", "--model", checkpoint.folder, *on)
    assert verified.returncode == 0, verified.stderr[-3000:]
    asked = house.run("edge_runtime.ask", tmp_path / "b", pages[0], "--allow-non-ecg", "--json")
    assert asked.returncode == 0, asked.stderr[-3000:]
    answer = json.loads(asked.stdout)
    assert (answer["target"], answer["findings"][0]["label"]) == ("pt2", "NORM")
    # This tree is a runtime that is older than the target.
    with pytest.raises(UserError, match="target pt2 is not one this version runs"):
        open_engine(Bundle.load(tmp_path / "b"))


def test_every_target_says_all_that_is_asked_of_one() -> None:
    for name, target in TARGETS.all():
        assert target.title
        assert target.name == "", f"{name}: its name is the file's"
        assert target.options() == target.options(**target.options().recorded())
