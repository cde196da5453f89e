"""What is asked in a benchmark: a bundle, run as a device runs it, or a checkpoint, run by torch in float32."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.subjects.environment import bundle_digest
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import MANIFEST
from edge_runtime.session import Session, signals_of
from edge_runtime.signal_net import FILE as SIGNALS
from edge_runtime.tokenizer import Tokenizer
from export.target import find

if TYPE_CHECKING:
    from pulse.checkpoint.checkpoint import Checkpoint


@dataclass(frozen=True)
class Subject:
    """A bundle or checkpoint, opened and checked once in a command and passed on: a bundle's files are hashed once.
    flatten: whether photographs are flattened before they are looked at, None as it says itself."""

    opened: Bundle | Checkpoint
    flatten: bool | None = None

    @classmethod
    def open(cls, name: str | os.PathLike[str]) -> Subject:
        """What is in the folder of that name, or the checkpoint that MODEL means elsewhere ("pulse-nano").

        Raises UserError when it is neither.
        """
        folder = Path(name)
        is_checkpoint = not (folder / MANIFEST).is_file() and (folder / "config.json").is_file()
        if folder.is_dir() and not is_checkpoint:
            return cls(Bundle.load(folder))
        from pulse.checkpoint.checkpoint import Checkpoint

        return cls(Checkpoint.open(name))

    @property
    def folder(self) -> Path:
        return self.opened.folder

    @property
    def evidence(self) -> str:
        """What its answers are here: "measured" by the target's own runtime, "emulated" by an interpreter of a bundle's
        packages, or "simulated" by the vendor's own kernels of a chip that is not here."""
        if not isinstance(self.opened, Bundle):
            return "measured"
        return find(self.opened.manifest.target).runner().evidence

    @property
    def ran_by(self) -> str:
        """What computes its answers here, in words."""
        if not isinstance(self.opened, Bundle):
            return "torch in float32"
        return find(self.opened.manifest.target).runner().by

    def session(self, threads: int | None = None) -> Session:
        """Where the target's own runtime is not, what stands in for its certificate: export.mil for Core ML packages.

        Raises UserError when it cannot be run.
        """
        session = self._session(threads)
        if self.flatten is not None:
            session.inference = replace(session.inference, flatten=self.flatten)
        return session

    def _session(self, threads: int | None) -> Session:
        if not isinstance(self.opened, Bundle):
            return torch_session(self.opened)
        if self.evidence != "emulated":
            return Session.of(self.opened, threads)
        manifest = self.opened.manifest
        engine = find(manifest.target).runner().open(self.opened)
        tokenizer = Tokenizer(self.opened.path("tokenizer"))
        return Session(engine, manifest.inference, tokenizer, signals=signals_of(self.opened))

    def about(self) -> dict[str, Any]:
        """Name, target ("torch" for a checkpoint), weights, bytes and digest."""
        if isinstance(self.opened, Bundle):
            return about_bundle(self.opened)
        files = [path for path in self.folder.iterdir() if path.suffix in (".safetensors", ".bin")]
        return {
            "folder": self.folder.name,
            "name": self.folder.name,
            "target": "torch",
            "weights": "float32",
            "bytes": sum(path.stat().st_size for path in files),
            "sha256": self.opened.digest(),
        }


def about_bundle(bundle: Bundle) -> dict[str, Any]:
    """What a report says of a bundle."""
    manifest = bundle.manifest
    return {
        "folder": bundle.folder.name,
        "name": manifest.name,
        "target": manifest.target,
        "weights": manifest.weights,
        "bytes": sum(size for _, size in manifest.files.values()),
        "sha256": bundle_digest(bundle.folder),
    }


def torch_session(checkpoint: Checkpoint, weights: str | None = "float32") -> Session:
    """A checkpoint behind the runtime's session, computed by torch in float32; weights as in pulse-export.

    Raises UserError when it cannot be read.
    """
    from pulse.checkpoint.tokenizer import TOKENIZER
    from pulse.model.engine import TorchEngine
    from quantize.load import load_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER
        checkpoint.write_tokenizer(path)
        engine = TorchEngine(load_model(checkpoint, weights), checkpoint.config)
        signals = checkpoint.folder / SIGNALS
        tokenizer = Tokenizer(path)
        return Session(engine, checkpoint.config.inference, tokenizer, signals=signals if signals.is_file() else None)
