"""`pulse-export` as a function: load, write the target's graphs, describe and certify them, then show the folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_runtime import signal_net, similar
from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.errors import UserError
from edge_runtime.sign import signer
from edge_runtime.tokenizer import Tokenizer
from export.certificate.bundle import certificate_of
from export.certificate.certify import Certificate
from export.certificate.emulated import check_emulated
from export.certificate.userland import Userland
from export.graph.kv import kv_scales
from export.manifest import manifest_of
from export.options import Options, with_options
from export.pages import example_pages
from export.plan import graphs_bytes, room
from export.target import Job, Target
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.files.folder import OUT, work_folder
from pulse.files.memory import Meter, check_plan
from quantize.checkpoint import quantize_checkpoint
from quantize.kinds import WEIGHTS
from quantize.load import load_model, weights_of
from quantize.quantization_config import kind_of


@dataclass(frozen=True)
class Export:
    """What a user asks for.

    weights: None for a quantized checkpoint's own, and otherwise "int4" (a float checkpoint is quantized on the way, in
    groups of 32); "float16" (stored so, computed in float32) or "float32", for which a quantized one is dequantized.
    options: see export.options; None for the target's defaults. pages: golden pages, by default the project's examples.
    key: the Ed25519 private key (PEM) to sign the bundle with. userland: where the pages are emulated too. max_memory:
    bytes that no stage may take.
    """

    target: Target[Any]
    weights: str | None = None
    options: Options | None = None
    pages: Sequence[Path] = field(default_factory=example_pages)
    key: Path | None = None
    userland: Userland | None = None
    max_memory: int | None = None


def build_bundle(source: Checkpoint, wanted: Export, out: Path, meter: Meter | None = None) -> Certificate:
    """Export the checkpoint `source` to the new bundle folder `out`; returns its certificate.

    meter: where the stages' peaks are added; memory.json in the bundle tells them. Run again after a kill, it goes on
    from the quantized checkpoint that it had made. The bundle is written even if its certificate fails, so that the
    failure can be looked into; a certificate of stages that were not run is what a bundle gets that cannot run on this
    machine. Raises UserError for what the user can fix, such as too low a max_memory; then, as after any other failure,
    there is no `out`.
    """
    target, meter = wanted.target, meter or Meter()
    if wanted.weights not in (None, *WEIGHTS):
        raise UserError(f"weights {wanted.weights} are not available; this version writes {', '.join(WEIGHTS)}")
    if wanted.userland is not None:
        check_emulated(target)
    source.check_tokenizer()
    weights = wanted.weights or weights_of(source)
    options = wanted.options or Options(own=target.options())
    config = with_options(source.config, options)
    job: Job[Any] = Job(source, config, weights, options.own, pages=wanted.pages)
    target.check(job)
    sign = None if wanted.key is None else signer(wanted.key)
    quantized = weights == "int4" and kind_of(source) is None
    check_plan({"graphs": graphs_bytes(source, weights, target.memory)}, wanted.max_memory)
    recipe = {"source": source.identity(), "target": target.name, "weights": weights, "options": asdict(options)}
    with work_folder(out, recipe) as work:
        part = work / OUT
        # Only the quantized checkpoint of a run that was cut off is taken up; graphs are written anew.
        shutil.rmtree(part)
        part.mkdir()
        if quantized:
            folder = work / "checkpoint"
            if not folder.is_dir():
                quantize_checkpoint(source, folder, meter=meter, max_memory=wanted.max_memory)
            job = replace(job, checkpoint=Checkpoint.open(folder))
        source.write_tokenizer(part / TOKENIZER)
        if options.own.int8_cache:
            with meter.stage("kv scales"):
                tokenizer, model = Tokenizer(part / TOKENIZER), load_model(job.checkpoint, weights, halves=True)
                job = replace(job, kv_scales=kv_scales(model, job.config, tokenizer, wanted.pages))
        with meter.stage("graphs"):
            # Nothing here keeps the model: its target uses it up.
            artifacts = target.write(job, load_model(job.checkpoint, weights, halves=True), part)
        artifacts = {**artifacts, "tokenizer": TOKENIZER, **_side_files(source, part)}
        manifest = manifest_of(job.config, source, target, weights, artifacts, options)
        write_manifest(part, manifest)
        bundle = Bundle.read(part)  # its digests were taken a moment ago
        with meter.stage("certificate"):
            most = room(wanted.max_memory)
            certificate = certificate_of(bundle, job.checkpoint, wanted.pages, wanted.userland, most, target)
        certificate.write(part)
        meter.write(part)
        write_manifest(part, manifest)
        if sign is not None:
            sign(part)
    return certificate


def _side_files(source: Checkpoint, part: Path) -> dict[str, str]:
    """The checkpoint's index of similar cases and its network of signals beside the graphs, where it has them; an
    adapter's has none, as its tower may be another. Raises UserError for what was made beside other weights."""
    found: dict[str, str] = {}
    for kind, file, made_for, maker in (
        (similar.ARTIFACT, similar.FILE, lambda path: similar.CaseIndex(path).model, "distill.retrieval"),
        (signal_net.ARTIFACT, signal_net.FILE, lambda path: signal_net.SignalNet(path).model, "distill.signals"),
    ):
        path = source.folder / file
        if source.adapter is not None or not path.is_file():
            continue
        if made_for(path) != source.digest():
            raise UserError(f"{path}: was made beside other weights; make it anew with python -m {maker}")
        shutil.copyfile(path, part / file)
        found[kind] = file
    return found
