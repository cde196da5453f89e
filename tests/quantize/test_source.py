"""What MODEL may be: the shipped student, a folder, or a hub id that the hub's own cache holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.errors import UserError
from pulse.checkpoint.source import checkpoint_folder


def test_a_hub_id_in_the_cache_is_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    repository = tmp_path / "models--PULSE-ECG--PULSE-7B"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert checkpoint_folder("PULSE-ECG/PULSE-7B") == snapshot
    with pytest.raises(
        UserError, match=r"PULSE-ECG/other: no such folder, and the hub does not give it \(.*\); download"
    ):
        checkpoint_folder("PULSE-ECG/other")


def test_a_folder_of_that_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PULSE-ECG" / "PULSE-7B").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert checkpoint_folder("PULSE-ECG/PULSE-7B") == Path("PULSE-ECG/PULSE-7B")
