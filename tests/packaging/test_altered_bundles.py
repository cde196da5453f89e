"""Random changes anywhere in a bundle, its manifest included: `pulse-ask` refuses every one of them with one line.

FUZZ=N takes N times as many: `FUZZ=25 python -m pytest tests/packaging/test_altered_bundles.py` makes 5,000.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import bundle
from edge_runtime.ask import main
from edge_runtime.bundle import NANO, Bundle, bundle_folder
from edge_runtime.errors import UserError
from edge_runtime.manifest import MANIFEST

CASES = 200 * int(os.environ.get("FUZZ", "1"))
WHOLE = bundle_folder(NANO)
FILES = sorted(path.name for path in WHOLE.iterdir())
Change = Callable[[Path, np.random.Generator], None]


def byte_changed(path: Path, draw: np.random.Generator) -> None:
    with path.open("r+b") as file:
        at = int(draw.integers(path.stat().st_size))
        file.seek(at)
        (old,) = file.read(1)
        file.seek(at)
        file.write(bytes([old ^ int(draw.integers(1, 256))]))


def byte_removed(path: Path, draw: np.random.Generator) -> None:
    data = path.read_bytes()
    at = int(draw.integers(len(data)))
    path.write_bytes(data[:at] + data[at + 1 :])


def byte_put_in(path: Path, draw: np.random.Generator) -> None:
    data = path.read_bytes()
    at = int(draw.integers(len(data) + 1))
    path.write_bytes(data[:at] + draw.bytes(1) + data[at:])


def cut_off(path: Path, draw: np.random.Generator) -> None:
    os.truncate(path, int(draw.integers(path.stat().st_size)))


def grown(path: Path, draw: np.random.Generator) -> None:
    with path.open("ab") as file:
        file.write(draw.bytes(int(draw.integers(1, 100))))


def swapped(path: Path, draw: np.random.Generator) -> None:
    other = path.with_name(str(draw.choice([name for name in FILES if name != path.name])))
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def removed(path: Path, draw: np.random.Generator) -> None:
    path.unlink()


def renamed(path: Path, draw: np.random.Generator) -> None:
    path.rename(path.with_name(f"{path.name}.{draw.integers(1000)}"))


def added(path: Path, draw: np.random.Generator) -> None:
    folder = path.parent / "more" if draw.integers(2) else path.parent
    folder.mkdir(exist_ok=True)
    (folder / f"{draw.integers(1000)}{path.suffix}").write_bytes(draw.bytes(int(draw.integers(50))))


def made_a_folder(path: Path, draw: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


CHANGES: tuple[Change, ...] = (
    byte_changed, byte_removed, byte_put_in, cut_off, grown, swapped, removed, renamed, added, made_a_folder
)  # fmt: skip


def asked(folder: Path) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        return main([str(folder), str(folder / "page.png")]), said.getvalue()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(WHOLE, tmp_path_factory.mktemp("bundle") / "whole"))


def test_every_change_is_refused_with_one_line(pristine: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for _ in range(CASES):
        change, name = CHANGES[draw.integers(len(CHANGES))], str(draw.choice(FILES))
        folder = tmp_path / "bundle"
        shutil.copytree(pristine, folder, copy_function=os.link)
        if change not in (removed, renamed, added, swapped):  # a change of content must not reach the linked copy
            (folder / name).unlink()
            shutil.copyfile(pristine / name, folder / name)
        change(folder / name, draw)
        status, said = asked(folder)
        assert (status, said.count("\n")) == (2, 1), f"{change.__name__} of {name}: {said}"
        assert said.startswith("pulse-ask: "), said
        assert "page.png" not in said, f"{change.__name__} of {name} was not seen: {said}"
        shutil.rmtree(folder)


def test_the_whole_one_is_not_refused(pristine: Path) -> None:
    status, said = asked(pristine)  # only the picture is missing
    assert status == 2
    assert "page.png" in said


def test_a_manifest_that_calls_itself_older_is_held_against_its_digest(pristine: Path, tmp_path: Path) -> None:
    """Version 1 had no digest, so a changed version must not be what takes it out of use."""
    folder = Path(shutil.copytree(pristine, tmp_path / "bundle"))
    raw = (folder / MANIFEST).read_bytes()
    assert raw.count(b'"format_version": 2') == 1
    (folder / MANIFEST).write_bytes(raw.replace(b'"format_version": 2', b'"format_version": 1'))
    with pytest.raises(UserError, match="does not match its own SHA-256"):
        Bundle.load(folder)


def test_a_file_that_cannot_be_read_is_named(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(bundle, "sha256_file", broken)
    with pytest.raises(UserError, match=r"cannot be read \(Input/output error\); copy it again"):
        Bundle.load(pristine)
