"""The bundle folder: load it only if every byte is the one the exporter wrote, and write its manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.files import replacing
from edge_runtime.manifest import FORMAT_VERSION, MANIFEST, Manifest, check_version, parse
from edge_runtime.signature import SIGNATURE, check_signature

# The name of the bundle that comes with the base install, wherever a command takes a bundle's folder.
NANO = "pulse-nano"

# The manifest's own digest is that of its bytes with zeros in the digest's place.
_DIGEST, _NO_DIGEST, _FIRST_WITH_DIGEST = "sha256", "0" * 64, 2
_DAMAGE = f"does not match {MANIFEST}: the bundle is damaged or was altered; copy or export it again"


# What Finder and Explorer leave in folders and zips that they show or make.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")


def is_litter(name: str) -> bool:
    """Whether a relative path with forward slashes is what a file manager left there; nothing of it is ever read."""
    *folders, last = name.split("/")
    return last in _LITTER or last.startswith("._") or "__MACOSX" in folders


@dataclass(frozen=True)
class Provenance:
    """What is said of the model that gave an answer. digest: SHA-256 of manifest.json, which covers every file.
    certificate: that of the bundle's, None where it has none."""

    name: str
    target: str
    notice: str
    digest: str
    certificate: str | None


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: its folder and what its manifest says."""

    folder: Path
    manifest: Manifest

    @classmethod
    def read(cls, path: str | os.PathLike[str], public_key: str | os.PathLike[str] | None = None) -> Bundle:
        """Read a bundle folder's manifest and check it: version, fields, list of files and their sizes.

        What a file holds is not looked at: for a bundle that this process wrote or has loaded before.
        path: a folder, or "pulse-nano" for the shipped bundle. public_key: the PEM file of whom the bundle must be
        signed by; checked before anything is believed. Raises UserError for the first thing wrong.
        """
        folder = bundle_folder(path)
        raw = _read_manifest(folder)
        if public_key is not None:
            check_signature(folder, raw, Path(public_key))
        data = _parse_json(raw, folder)
        check_version(Fields(data, MANIFEST))
        _check_own_digest(raw, data, folder)
        manifest = parse(data)
        _check_files(folder, manifest)
        return cls(folder, manifest)

    @classmethod
    def load(cls, path: str | os.PathLike[str], public_key: str | os.PathLike[str] | None = None) -> Bundle:
        """As `read`, and the SHA-256 of every file: for a bundle that came from anywhere else."""
        bundle = cls.read(path, public_key)
        for name, (digest, _) in bundle.manifest.files.items():
            try:
                found = sha256_file(bundle.folder / name)
            except OSError as error:
                raise UserError(f"{bundle.folder / name}: cannot be read ({error.strerror}); copy it again") from None
            if found != digest:
                raise UserError(f"{bundle.folder / name}: its SHA-256 {_DAMAGE}")
        return bundle

    @property
    def provenance(self) -> Provenance:
        """Where its answers come from."""
        manifest, digest = self.manifest, sha256_file(self.folder / MANIFEST)
        certificate, _ = manifest.files.get("certificate.json", (None, 0))
        return Provenance(manifest.name, manifest.target, manifest.inference.notice, digest, certificate)

    def path(self, artifact: str) -> Path:
        """Where an artifact ("vision", "embed", "decoder", "tokenizer") lies. Raises UserError when it has none."""
        if artifact not in self.manifest.artifacts:
            raise UserError(f"{self.folder}: the bundle has no {artifact} artifact; export it again")
        return self.folder / self.manifest.artifacts[artifact]

    def size(self, artifact: str) -> int:
        """Bytes of an artifact with the files that go with it: `NAME` itself, `NAME.*` and all below `NAME/`."""
        name = self.manifest.artifacts[artifact]
        names = (f for f in self.manifest.files if f == name or f.startswith((name + ".", name + "/")))
        return sum(self.manifest.files[f][1] for f in names)


def bundle_folder(path: str | os.PathLike[str]) -> Path:
    """The folder that BUNDLE means: that of the shipped bundle for "pulse-nano", otherwise the one at that path.

    Raises UserError when there is no such folder.
    """
    if str(path) == NANO:
        folder = Path(__file__).parent / "nano"
        if not folder.is_dir():
            raise UserError(f"{NANO}: did not come with this installation; give the folder that pulse-export wrote")
        return folder
    folder = Path(path)
    if not folder.is_dir():
        state = "is a file, not a bundle folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder}: {state}; give the folder that pulse-export wrote, or {NANO}")
    return folder


def write_manifest(folder: str | os.PathLike[str], manifest: Mapping[str, object]) -> Path:
    """Write manifest.json into a finished bundle folder and return its path.

    `format_version`, `files` (sizes and digests of every other file) and the manifest's own `sha256` are filled in
    here; the rest is checked as Bundle.load checks it, so that a bundle that cannot be loaded is never written. Raises
    UserError. A signature of an earlier manifest is removed.
    """
    folder = Path(folder)
    names = sorted(set(_listing(folder)) - {MANIFEST, SIGNATURE})
    files = {n: {"sha256": sha256_file(folder / n), "bytes": (folder / n).stat().st_size} for n in names}
    data = {**manifest, "format_version": FORMAT_VERSION, "files": files}
    parse(data)
    target = folder / MANIFEST
    (folder / SIGNATURE).unlink(missing_ok=True)
    with replacing(target) as aside:
        aside.write_bytes(manifest_bytes(data))
    return target


def manifest_bytes(data: Mapping[str, object]) -> bytes:
    """manifest.json's content with its own digest, which comes last."""
    fields = {key: value for key, value in data.items() if key != _DIGEST}
    text = json.dumps({**fields, _DIGEST: _NO_DIGEST}, indent=2, ensure_ascii=False) + "\n"
    before, _, after = text.encode().rpartition(_NO_DIGEST.encode())
    return before + hashlib.sha256(text.encode()).hexdigest().encode() + after


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in lower-case hex, read in pieces so that its size does not matter."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{folder}: has no {MANIFEST}, so it is no bundle; give the folder pulse-export wrote"
        ) from None
    except OSError as error:
        raise UserError(f"{folder / MANIFEST}: cannot be read ({error.strerror})") from None


def _parse_json(raw: bytes, folder: Path) -> object:
    try:
        return json.loads(raw.decode("utf-8"))
    # Nesting thousands deep overflows the parser: as unusable as a syntax error.
    except (ValueError, RecursionError) as error:
        reason = shorten(str(error))
        raise UserError(f"{folder / MANIFEST}: is not JSON ({reason}); copy or export the bundle again") from None


def _check_own_digest(raw: bytes, data: object, folder: Path) -> None:
    assert isinstance(data, dict)
    if data["format_version"] < _FIRST_WITH_DIGEST and _DIGEST not in data:
        return  # it had none; one that has is of a later version, whatever it says
    digest = str(data.get(_DIGEST) or None).encode()
    before, found, after = raw.rpartition(digest)
    if not found or hashlib.sha256(before + _NO_DIGEST.encode() + after).hexdigest().encode() != digest:
        raise UserError(
            f"{folder / MANIFEST}: does not match its own SHA-256: it is damaged or was altered; copy or export the "
            "bundle again"
        )


def _listing(folder: Path) -> list[str]:
    """Relative paths, with forward slashes, of everything in the folder that is not a plain folder or litter."""
    found = []
    for root, folders, files in os.walk(folder):
        # A link to a folder would not be walked: count it as an entry, so that it cannot hide files.
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        found += [Path(root, name).relative_to(folder).as_posix() for name in files + links]
    return [name for name in found if not is_litter(name)]


def _check_files(folder: Path, manifest: Manifest) -> None:
    present = set(_listing(folder)) - {MANIFEST, SIGNATURE}
    missing, extra = sorted(set(manifest.files) - present), sorted(present - set(manifest.files))
    if missing:
        raise UserError(f"{folder}: {missing[0]} is missing; copy or export the bundle again")
    if extra:
        raise UserError(f"{folder}: {extra[0]} is not listed in {MANIFEST}; remove it or export the bundle again")
    # Before any digest: a cut-off download is found at once.
    for name, (_, size) in manifest.files.items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise UserError(f"{folder / name}: its size {_DAMAGE}")
