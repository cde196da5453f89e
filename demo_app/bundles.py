"""The bundles on this device: import from a folder or a zip, check, list, remove.

Nothing of a zip is believed: names that lead out of the folder, links, more bytes than it declares, and more than the
device has room for are refused. A bundle is checked (digests, and the signature where a key is set) before it gets its
name; until then it is a hidden folder that the next start removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edge_runtime.bundle import Bundle, is_litter
from edge_runtime.engines import ENGINES
from edge_runtime.errors import UserError, shorten
from edge_runtime.manifest import MANIFEST, check_name, parse
from edge_runtime.signature import SIGNATURE

Progress = Callable[[float], None]
_PIECE = 1 << 20
_MOST_FILES = 10_000
_PART = ".part-"


@dataclass(frozen=True)
class Installed:
    """A bundle on the device. signed: it carries a signature (whose, only a key can tell). own: came by import.

    title: the target in words, as the manifest says it, or else its name. runs: this version has an engine for it.
    """

    folder: Path
    name: str
    target: str
    title: str
    weights: str
    digest: str
    bytes: int
    signed: bool
    own: bool
    runs: bool


class Bundles:
    """The imported bundles in `folder`, and the one that came with the app, if any."""

    def __init__(self, folder: Path, built_in: Path | None) -> None:
        self.folder, self._built_in = folder, built_in

    def installed(self) -> list[Installed]:
        """All of them, the built-in one first. Digests are not checked here but whenever one is loaded."""
        own = sorted(p for p in self.folder.iterdir() if not p.name.startswith(".")) if self.folder.is_dir() else []
        found = [(self._built_in, False)] if self._built_in is not None else []
        return [b for path, mine in [*found, *((p, True) for p in own)] if (b := describe(path, mine)) is not None]

    def sweep(self) -> None:
        """Remove what an import that was killed has left."""
        if self.folder.is_dir():
            for path in self.folder.glob(f"{_PART}*"):
                shutil.rmtree(path, ignore_errors=True)

    def add(self, source: Path, key: Path | None, progress: Progress = lambda share: None) -> Installed:
        """Import a bundle folder or zip. key: the PEM public key it must be signed with, None for any.

        progress: gets 0 to 1 and may raise to stop. Raises UserError; then nothing was added.
        """
        self._make_folder()
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=self.folder))
        try:
            if source.is_dir():
                _copy_folder(source, part, progress)
            else:
                _unzip(source, part, progress)
            bundle = Bundle.load(part, key)
            digest = hashlib.sha256((part / MANIFEST).read_bytes()).hexdigest()
            target = self.folder / f"{_plain(bundle.manifest.name)}-{bundle.manifest.target}-{digest[:12]}"
            if target.exists():
                raise UserError(f"{source.name}: this bundle is already here")
            os.replace(part, target)
        except OSError as error:
            raise UserError(f"{source.name}: cannot be copied ({error.strerror or error})") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
        added = describe(target, True)
        assert added is not None  # it was loaded a moment ago
        return added

    def remove(self, bundle: Installed) -> None:
        """Delete an imported bundle. Raises UserError for the built-in one."""
        if not bundle.own or bundle.folder.parent != self.folder:
            raise UserError(f"{bundle.name}: came with the app and cannot be removed")
        shutil.rmtree(bundle.folder, ignore_errors=True)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written to ({error.strerror})") from None


def describe(folder: Path, own: bool) -> Installed | None:
    """What the manifest says, unchecked but well-formed; None when it is not even that."""
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = parse(json.loads(raw))
    except (OSError, ValueError, RecursionError):
        return None
    size = sum(size for _, size in manifest.files.values()) + len(raw)
    digest = hashlib.sha256(raw).hexdigest()
    signed = (folder / SIGNATURE).is_file()
    runs = manifest.target in ENGINES.names()
    title = readable(manifest.title or manifest.target)
    words = (readable(manifest.name), manifest.target, title, readable(manifest.weights))
    return Installed(folder, *words, digest, size, signed, own, runs)


def readable(text: str) -> str:
    """A stranger's text as one line that every font draws: 80 characters at most, and none that is not printable."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:80]


def _copy_folder(source: Path, target: Path, progress: Progress) -> None:
    if not (source / MANIFEST).is_file():
        raise UserError(f"{source.name}: holds no {MANIFEST}, so it is no bundle; choose the folder pulse-export wrote")
    files = [Path(root, name) for root, _, names in os.walk(source) for name in names]
    files = [path for path in files if not is_litter(path.relative_to(source).as_posix())]
    for path in files:
        if path.is_symlink() or not path.is_file():
            raise UserError(
                f"{source.name}: {path.name} is a link or no plain file; choose the folder pulse-export wrote"
            )
    sizes = {path: path.stat().st_size for path in files}
    meter = _Meter(sum(sizes.values()), target, progress)
    for path in files:
        with open(path, "rb") as file:
            _write(file, target / path.relative_to(source), sizes[path], meter)


def _unzip(source: Path, target: Path, progress: Progress) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = _members(archive, source.name)
            meter = _Meter(sum(info.file_size for info, _ in members), target, progress)
            for info, name in members:
                with archive.open(info) as file:
                    _write(file, target / name, info.file_size, meter)
    except FileNotFoundError:
        raise UserError(f"{source}: does not exist") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise UserError(f"{source.name}: is no readable zip ({shorten(str(error))}); download it again") from None
    except RuntimeError:  # zipfile's word for a password
        raise UserError(f"{source.name}: is protected by a password; zip the bundle without one") from None


def _members(archive: zipfile.ZipFile, source: str) -> list[tuple[zipfile.ZipInfo, str]]:
    """The files with their place in the bundle: the folder that holds manifest.json is the bundle's root."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        info.filename = info.filename.replace("\\", "/")  # as old Windows programs write them
    infos = [info for info in infos if not is_litter(info.filename)]
    if len(infos) > _MOST_FILES:
        raise UserError(f"{source}: holds {len(infos)} files, more than a bundle can have")
    roots = [PurePosixPath(i.filename).parent for i in infos if PurePosixPath(i.filename).name == MANIFEST]
    if not roots:
        raise UserError(f"{source}: holds no {MANIFEST}, so it is no bundle; zip the folder that pulse-export wrote")
    root = min(roots, key=lambda path: len(path.parts))
    prefix = "" if str(root) == "." else f"{root}/"
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(f"{source}: {shorten(info.filename)} is a link; zip the folder that pulse-export wrote")
        if not info.filename.startswith(prefix):
            raise UserError(
                f"{source}: {shorten(info.filename)} lies outside the bundle; zip the bundle's folder alone"
            )
        name = info.filename.removeprefix(prefix)
        if name not in (MANIFEST, SIGNATURE):
            check_name(name, source)
        if name in found:
            raise UserError(f"{source}: {shorten(name)} is in it twice; zip the bundle again")
        found[name] = info
    return [(info, name) for name, info in found.items()]


class _Meter:
    """Counts bytes for the progress bar; refuses at once what the device has no room for."""

    def __init__(self, total: int, target: Path, progress: Progress) -> None:
        free = shutil.disk_usage(target).free
        if total > free:
            raise UserError(f"the bundle needs {total / 1e6:.0f} MB but only {free / 1e6:.0f} MB are free")
        self._total, self._done, self._progress = max(total, 1), 0, progress

    def add(self, count: int) -> None:
        self._done += count
        self._progress(min(1.0, self._done / self._total))


def _write(source: IO[bytes], target: Path, size: int, meter: _Meter) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with open(target, "xb") as file:
        for piece in _pieces(source):
            left -= len(piece)
            if left < 0:  # a zip may declare less than it holds
                raise UserError(f"{target.name}: is larger than it was said to be; download the bundle again")
            file.write(piece)
            meter.add(len(piece))


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _plain(name: str) -> str:
    """A manifest's name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:40] or "bundle"
