"""pulse-export as the tests call it: a target by its name and its own options as keywords."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.registry import Registry
from export.build import Export, build_bundle
from export.certificate.certify import Certificate
from export.certificate.userland import Userland
from export.options import Options
from export.pages import example_pages
from export.target import Target, find
from pulse.checkpoint.checkpoint import Checkpoint


def export(
    source: Checkpoint,
    target: str | Target[Any],
    weights: str | None,
    out: Path,
    pages: Sequence[Path] | None = None,
    tiles: int | None = None,
    merge_tokens: int = 1,
    userland: Userland | None = None,
    **own: Any,
) -> tuple[Certificate, Path]:
    """The certificate of the new bundle, and its folder."""
    target = find(target) if isinstance(target, str) else target
    options = Options(tiles, merge_tokens, target.options(**own))
    pages = example_pages() if pages is None else pages
    return build_bundle(source, Export(target, weights, options, pages, userland=userland), out), out


@dataclass(frozen=True)
class Instead(Registry[Target[Any]]):
    """The targets of the tree, with one that a test has changed."""

    changed: Target[Any] | None = None

    @classmethod
    def of(cls, target: Target[Any]) -> Instead:
        return cls("export.targets", "TARGET", "target", target)

    def load(self, name: str) -> Target[Any]:
        return self.changed if self.changed is not None and name == self.changed.name else super().load(name)

    def all(self) -> Iterator[tuple[str, Target[Any]]]:
        return ((name, self.load(name)) for name in self.names())


def engine_of(bundle: Bundle) -> Any:
    """What runs a bundle for its certificate on this machine."""
    return find(bundle.manifest.target).runner().open(bundle)


def without_weights(checkpoint: Checkpoint, folder: Path) -> Path:
    """A copy of a checkpoint's folder that has no weights: what is refused before any work is refused for it too."""
    copy = folder / "weightless"
    shutil.copytree(checkpoint.folder, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    return copy
