"""Whoever reads finds a whole file or folder, or the one before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.files import replacing, replacing_folder, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with replacing(path) as aside:
        assert aside.suffix == ".json"  # numpy and matplotlib go by it
        aside.write_text("ne")
        assert path.read_text() == "old"
        aside.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as aside:
        aside.write_text(str(1 / 0))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "folder") as aside:
        (aside / "new").write_text(str(1 / 0))
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "folder", "old"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / ".partial.folder").mkdir()  # of a run that was killed
    (tmp_path / ".partial.folder" / "stale").touch()
    for name in ("first", "second"):
        with replacing_folder(tmp_path / "folder") as aside:
            (aside / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
