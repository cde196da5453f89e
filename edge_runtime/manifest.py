"""What manifest.json says, as frozen dataclasses: the contract between the exporters and every device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.inference import Inference, ModelSpec
from edge_runtime.signature import SIGNATURE

# 2: the manifest carries a digest of itself.
FORMAT_VERSION = 2
MANIFEST = "manifest.json"
_TARGET = re.compile("[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Manifest:
    """manifest.json, checked. target: the name of what runs it; edge_runtime.engines says whether this version does.
    files maps each relative path to (SHA-256 in hex, size in bytes). title: what the target is, in a few words."""

    name: str
    target: str
    weights: str
    created: str
    inference: Inference
    artifacts: Mapping[str, str]
    files: Mapping[str, tuple[str, int]]
    title: str = ""


def parse(data: object) -> Manifest:
    """Check the content of a manifest.json. Raises UserError naming the first wrong field, the version before all."""
    root = Fields(data, MANIFEST)
    check_version(root)
    root.child("source")
    root.child("tools")
    target = root.text("target")
    if not _TARGET.fullmatch(target):
        raise UserError(
            f"{MANIFEST}: target must be lower-case letters, digits and hyphens but is {shorten(target)}; "
            "export the bundle again"
        )
    files = _files(root.child("files"))
    return Manifest(
        name=root.text("name"),
        target=target,
        weights=root.text("weights"),
        created=root.text("created"),
        inference=Inference.from_fields(root, ModelSpec.from_fields(root.child("model"))),
        artifacts=_artifacts(root.child("artifacts"), files),
        files=files,
        title="" if root.is_null("title") else root.text("title"),
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


def _artifacts(fields: Fields, files: Mapping[str, object]) -> dict[str, str]:
    # Every bundle has a tokenizer; what else it needs its engine asks for.
    artifacts = {key: check_name(fields.text(key), fields.where) for key in dict.fromkeys(["tokenizer", *fields.data])}
    for key, name in artifacts.items():
        # A Core ML package is a folder: then the files below it are listed, not the folder.
        if name not in files and not any(listed.startswith(name + "/") for listed in files):
            raise UserError(f"{fields.where}: {key} is {shorten(name)}, which files does not list; export it again")
    return artifacts
