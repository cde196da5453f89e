"""A bundle folder to its certificate: what runs it here, what it is held against, and what fits into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine
from edge_runtime.errors import CannotRunHere
from edge_runtime.tokenizer import Tokenizer
from export.certificate.certify import BEFORE_DECODER, Certificate, certify, not_run
from export.certificate.emulated import emulate
from export.certificate.parts import part_stages
from export.certificate.streamed import certify_streamed
from export.certificate.tolerance import EIGHT_BIT_ACTIVATIONS
from export.certificate.userland import Userland
from export.faults import known_faults
from export.options import options_of, with_options
from export.plan import certificate_bytes, streamed_bytes
from export.target import Job, Target, find
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.model.config import Config
from pulse.model.engine import TorchEngine
from pulse.model.llava import Llava
from quantize.load import load_model
from quantize.quantization_config import kind_of


def certificate_of(
    bundle: Bundle,
    checkpoint: Checkpoint,
    pages: Sequence[Path],
    userland: Userland | None = None,
    most: int | None = None,
    target: Target[Any] | None = None,
    together: int | None = None,
) -> Certificate:
    """Certify a bundle against the checkpoint it was made from, within its target's tolerance.

    userland: the emulated machine that the pages go through as well. The model is loaded anew: exporting used up the
    exporter's. A model that would take more than `most` bytes beside its bundle is read after it, layer by layer, where
    the bundle has its integers, and is not run where that is too much as well. target: by default the one that the
    bundle names. together: what both would take in memory, by default as export.plan reckons. Raises UserError as
    certify and emulate do.
    """
    target = target or find(bundle.manifest.target)
    job = job_of(bundle, checkpoint, target)
    tolerance, notes, runner = target.tolerance(job), [*target.notes(job), *known_faults(bundle)], target.runner()
    if together is None:
        together = certificate_bytes(checkpoint, job.config, job.weights)
    arithmetic, own = target.arithmetic(job), _own_tokenizer(checkpoint)

    def open_model() -> tuple[Llava, Config]:
        return load_model(checkpoint, job.weights, halves=True), job.config

    def open_engine() -> Engine:
        return runner.open(bundle)

    try:
        if most is None or together <= most:
            engine, reference = open_engine(), reference_of(bundle, checkpoint, target)
            certificate = certify(bundle, engine, reference, pages, tolerance, notes, arithmetic=arithmetic, own=own)
            parts = part_stages(bundle, lambda: engine, open_model, pages, target, arithmetic, own, tolerance)
        elif (needed := _streamed_bytes(bundle, job, target) or together) <= most:
            parts = part_stages(bundle, open_engine, open_model, pages, target, arithmetic, own, tolerance)
            certificate = certify_streamed(bundle, open_engine, open_model, pages, tolerance, notes, arithmetic, own)
        else:
            reason = (
                f"it takes about {needed / 1e9:.1f} GB and {most / 1e9:.1f} GB were allowed; "
                "run pulse-verify on a larger machine"
            )
            return not_run(pages, reason, tolerance, notes, arithmetic)
    except CannotRunHere as error:
        return not_run(pages, str(error), tolerance, notes, arithmetic)
    # Two processors drift apart where activations are rounded, so there only gross faults show.
    between = EIGHT_BIT_ACTIVATIONS if arithmetic.parts else tolerance
    emulated = None if userland is None else emulate(bundle, userland, pages, between)
    stages = (*certificate.stages[:BEFORE_DECODER], *parts, *certificate.stages[BEFORE_DECODER:])
    return replace(certificate, stages=stages, ran_by=runner.by, emulated=emulated)


def _own_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.write_tokenizer(Path(folder) / TOKENIZER)
        return Tokenizer(Path(folder) / TOKENIZER)


def job_of(bundle: Bundle, checkpoint: Checkpoint, target: Target[Any]) -> Job[Any]:
    """The export that made a bundle, as its manifest records it. Raises UserError for options of another version."""
    options = options_of(bundle, target)
    return Job(checkpoint, with_options(checkpoint.config, options), bundle.manifest.weights, options.own)


def reference_of(bundle: Bundle, checkpoint: Checkpoint, target: Target[Any] | None = None) -> TorchEngine:
    """The checkpoint in float32 torch with the bundle's weights, and a config that has the bundle's options."""
    job = job_of(bundle, checkpoint, target or find(bundle.manifest.target))
    return TorchEngine(load_model(checkpoint, job.weights), job.config)


def _streamed_bytes(bundle: Bundle, job: Job[Any], target: Target[Any]) -> int | None:
    """None where the reference cannot be read layer by layer: its weights are not those of the checkpoint's file."""
    return streamed_bytes(bundle, job, target.memory) if kind_of(job.checkpoint) == job.weights else None
