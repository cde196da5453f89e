"""What is asked in a benchmark: a bundle, run as a device runs it, or a checkpoint, run by torch in float32."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import bundle_digest
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import MANIFEST
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.target import find

if TYPE_CHECKING:
    from pulse.checkpoint.checkpoint import Checkpoint


def open_subject(folder: Path, threads: int | None = None) -> Session:
    """A session on the bundle or checkpoint in `folder`.

    Where Apple's runtime is not, Core ML packages are run by the interpreter of export.mil. Raises UserError when the
    folder is neither, or cannot be run.
    """
    if not (folder / MANIFEST).is_file() and (folder / "config.json").is_file():
        from pulse.checkpoint.checkpoint import Checkpoint

        return torch_session(Checkpoint.open(folder))
    if not interpreted(folder):
        return Session.open(folder, threads)
    bundle = Bundle.load(folder)
    engine = find(bundle.manifest.target).runner().open(bundle)
    return Session(engine, bundle.manifest.inference, Tokenizer(bundle.path("tokenizer")))


def interpreted(folder: Path) -> bool:
    """Whether answers of this bundle come from an interpreter of its packages, not from the target's own runtime."""
    is_bundle = (folder / MANIFEST).is_file()
    return is_bundle and find(Bundle.load(folder).manifest.target).runner().stand_in


def about_bundle(folder: Path) -> dict[str, Any]:
    """What a report says of a bundle. Raises UserError when it cannot be loaded."""
    manifest = Bundle.load(folder).manifest
    return {
        "folder": folder.name,
        "name": manifest.name,
        "target": manifest.target,
        "weights": manifest.weights,
        "bytes": sum(size for _, size in manifest.files.values()),
        "sha256": bundle_digest(folder),
    }


def about_subject(folder: Path) -> dict[str, Any]:
    """Name, target ("torch" for a checkpoint), weights, bytes and digest. Raises UserError when it cannot be loaded."""
    if (folder / MANIFEST).is_file() or not (folder / "config.json").is_file():
        return about_bundle(folder)
    from pulse.checkpoint.checkpoint import Checkpoint

    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    return {
        "folder": folder.name,
        "name": folder.name,
        "target": "torch",
        "weights": "float32",
        "bytes": sum(path.stat().st_size for path in files),
        "sha256": Checkpoint.open(folder).digest(),
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
        return Session(engine, checkpoint.config.inference, Tokenizer(path))
