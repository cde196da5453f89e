"""What manifest.json says, as frozen dataclasses: the contract between the exporters and every device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.inference import Inference, ModelSpec
from edge_runtime.signature import SIGNATURE

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TARGETS = ("onnx", "executorch", "coreml", "gguf")
ARTIFACTS = {
    "onnx": ("vision", "embed", "decoder", "tokenizer"),
    "executorch": ("program", "delegation", "tokenizer"),
    "coreml": ("tokenizer",),
    "gguf": ("decoder", "vision", "tokenizer"),
}


@dataclass(frozen=True)
class Manifest:
    """manifest.json, checked. files maps each relative path to (SHA-256 in hex, size in bytes)."""

    name: str
    target: str
    weights: str
    created: str
    inference: Inference
    artifacts: Mapping[str, str]
    files: Mapping[str, tuple[str, int]]


def parse(data: object) -> Manifest:
    """Check the content of a manifest.json. Raises UserError naming the first wrong field, the version before all."""
    root = Fields(data, MANIFEST)
    check_version(root)
    root.child("source")
    root.child("tools")
    target = root.text("target", choices=TARGETS)
    files = _files(root.child("files"))
    return Manifest(
        name=root.text("name"),
        target=target,
        weights=root.text("weights"),
        created=root.text("created"),
        inference=Inference.from_fields(root, ModelSpec.from_fields(root.child("model"))),
        artifacts=_artifacts(root.child("artifacts"), target, files),
        files=files,
    )


def check_version(root: Fields) -> None:
    """Raises UserError when format_version is not ours: nothing else in the file can be trusted to mean the same."""
    version = root.integer("format_version", 1)
    if version > FORMAT_VERSION:
        raise UserError(
            f"{root.where}: format_version is {version} but this pulse-edge reads up to {FORMAT_VERSION}; "
            "upgrade pulse-edge (pip install -U pulse-edge)"
        )


def check_name(name: str, where: str) -> str:
    """A relative path with forward slashes that stays inside the bundle on every system; UserError otherwise."""
    parts = name.split("/")
    if (
        any(part in ("", ".", "..") for part in parts)
        or any(c in name for c in "\\:\0")
        or name in (MANIFEST, SIGNATURE)
    ):
        raise UserError(f"{where}: {shorten(name)} is not a path inside the bundle; export the bundle again")
    return name


def _files(fields: Fields) -> dict[str, tuple[str, int]]:
    files = {}
    for name in fields.data:
        check_name(name, fields.where)
        entry = fields.child(name)
        digest = entry.text("sha256")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise UserError(f"{entry.where}: sha256 must be 64 lower-case hex digits; export the bundle again")
        files[name] = (digest, entry.integer("bytes", 0))
    return files


def _artifacts(fields: Fields, target: str, files: Mapping[str, object]) -> dict[str, str]:
    needed = ARTIFACTS[target]
    artifacts = {key: check_name(fields.text(key), fields.where) for key in dict.fromkeys([*needed, *fields.data])}
    for key, name in artifacts.items():
        # A Core ML package is a folder: then the files below it are listed, not the folder.
        if name not in files and not any(listed.startswith(name + "/") for listed in files):
            raise UserError(f"{fields.where}: {key} is {shorten(name)}, which files does not list; export it again")
    return artifacts
