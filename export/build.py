"""`pulse-export` as a function: load, write the target's graphs, describe and certify them, then show the folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from export import onnx
from export.bundle import manifest_of
from export.reference import TorchEngine
from export.verify import Certificate, certify
from quantize.folder import new_folder
from quantize.load import WEIGHTS, load_model

# One entry a target: writes its graphs for a model into a folder and says what it wrote.
TARGETS = {"onnx": onnx.write_graphs}
TOKENIZER = "tokenizer.json"


def build_bundle(
    source: Path, target: str, weights: str, out: Path, pages: Sequence[Path] | None = None
) -> tuple[Certificate, Path]:
    """Export the checkpoint folder `source` to the new bundle folder `out`; returns the certificate and `out`.

    weights: "int4" (a float checkpoint is quantized on the way, in groups of 32), "float16" (stored so, computed in
    float32) or "float32"; a 4-bit checkpoint is dequantized for the last two. pages: golden pages, by default the
    project's examples. The bundle is written even if its certificate fails, so that the failure can be looked into.
    Raises UserError for what the user can mend; then, as after any other failure, there is no `out`.
    """
    if target not in TARGETS:
        raise UserError(f"target {target} is not available; this version exports {', '.join(TARGETS)}")
    if weights not in WEIGHTS:
        raise UserError(f"weights {weights} are not available; this version writes {', '.join(WEIGHTS)}")
    if not (source / TOKENIZER).is_file():
        raise UserError(f"{source}: no {TOKENIZER}; give a whole checkpoint folder")
    with new_folder(out) as part:
        model, config = load_model(source, weights)
        artifacts = TARGETS[target](model, config, weights, part)
        shutil.copyfile(source / TOKENIZER, part / TOKENIZER)
        manifest = manifest_of(config, source, target, weights, {**artifacts, "tokenizer": TOKENIZER})
        write_manifest(part, manifest)
        bundle = Bundle.load(part)
        # Loaded anew: exporting changed the first one's layers.
        reference, config = load_model(source, weights)
        certificate = certify(
            bundle, open_engine(bundle), TorchEngine(reference, config), example_pages() if pages is None else pages
        )
        certificate.write(part)
        write_manifest(part, manifest)
    return certificate, out


def example_pages() -> list[Path]:
    """The ECG pages that come with the project."""
    return sorted((Path(str(resources.files("pulse"))) / "ecg" / "examples").glob("*.png"))
