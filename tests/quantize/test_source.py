"""What MODEL may be: the shipped student, a folder, or a hub id that the hub's own cache holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import NANO, Checkpoint

CONFIG = Checkpoint.open(NANO).folder / "config.json"


def test_a_hub_id_in_the_cache_is_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    repository = tmp_path / "models--PULSE-ECG--PULSE-7B"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    shutil.copyfile(CONFIG, snapshot / "config.json")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Checkpoint.open("PULSE-ECG/PULSE-7B").folder == snapshot
    with pytest.raises(
        UserError, match=r"PULSE-ECG/other: no such folder, and the hub does not give it \(.*\); download"
    ):
        Checkpoint.open("PULSE-ECG/other")


def test_a_folder_of_that_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PULSE-ECG" / "PULSE-7B").mkdir(parents=True)
    shutil.copyfile(CONFIG, tmp_path / "PULSE-ECG" / "PULSE-7B" / "config.json")
    monkeypatch.chdir(tmp_path)
    assert Checkpoint.open("PULSE-ECG/PULSE-7B").folder == Path("PULSE-ECG/PULSE-7B")
