from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_runtime.errors import UserError
from edge_runtime.registry import Registry


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[str]:
    folder = tmp_path / "aviary"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "_feathers.py").write_text("1 / 0")
    (folder / "house_martin.py").write_text("BIRD = 'martin'")
    (folder / "owl.py").write_text("import a_package_that_is_not_there")
    (folder / "stone.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Registry("aviary", "BIRD", "bird")
    for name in [name for name in sys.modules if name.split(".")[0] == "aviary"]:
        del sys.modules[name]


def test_names_are_those_of_the_files_and_none_is_imported(birds: Registry[str]) -> None:
    assert birds.names() == ["house-martin", "owl", "stone"]
    assert "aviary.owl" not in sys.modules


def test_only_the_named_file_is_imported(birds: Registry[str]) -> None:
    assert birds.load("house-martin") == "martin"
    assert "aviary.owl" not in sys.modules


@pytest.mark.parametrize("name", ["eagle", "_feathers", "house_martin", "../owl", ""])
def test_an_unknown_name_is_one_line_with_those_that_there_are(birds: Registry[str], name: str) -> None:
    with pytest.raises(UserError, match="is not one this version has; use one of house-martin, owl, stone"):
        birds.load(name)


def test_a_file_without_its_object_is_named(birds: Registry[str]) -> None:
    with pytest.raises(UserError, match=r"aviary\.stone: defines no BIRD"):
        birds.load("stone")
