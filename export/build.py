"""`pulse-export` as a function: load, write the target's graphs, describe and certify them, then show the folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import Engine, open_engine
from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.tokenizer import Tokenizer
from export.certificate.certify import EXACT, Certificate, Limits, certify, not_run
from export.certificate.emulated import check_emulated, emulate
from export.certificate.streamed import certify_streamed
from export.certificate.userland import Userland
from export.graph.kv import allowed, kv_scales
from export.manifest import manifest_of
from export.options import Options, options_of, with_options
from export.plan import certificate_bytes, graphs_bytes, room, streamed_bytes
from export.sign import signer
from export.targets.coreml import lint as coreml_lint
from export.targets.coreml import packages as coreml
from export.targets.executorch import program as executorch
from export.targets.gguf import files as gguf
from export.targets.onnx import graphs as onnx
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.files.folder import OUT, work_folder
from pulse.files.memory import Meter, check_plan
from pulse.model.config import Config
from pulse.model.engine import TorchEngine
from pulse.model.llava import Llava
from quantize.checkpoint import quantize_checkpoint
from quantize.load import WEIGHTS, load_model, weights_of
from quantize.quantization_config import kind_of

# One entry a target: writes its graphs for a model into a folder and says what it wrote.
TARGETS: dict[str, Callable[..., dict[str, str]]] = {
    "onnx": onnx.write_graphs,
    "executorch": executorch.write_graphs,
    "coreml": coreml.write_graphs,
    "gguf": gguf.write_graphs,
}
# By target: what a certificate allows a model in some weights; what is known not to work everywhere.
LIMITS: dict[str, Callable[[Config, str], Limits]] = {
    "onnx": onnx.limits,
    "executorch": executorch.limits,
    "coreml": coreml.limits,
    "gguf": gguf.limits,
}
WARNINGS: dict[str, Callable[[Config], list[str]]] = {"coreml": coreml_lint.warnings, "gguf": gguf.warnings}


def build_bundle(
    source: Checkpoint,
    target: str,
    weights: str | None,
    out: Path,
    pages: Sequence[Path] | None = None,
    delegate: str | None = None,
    key: Path | None = None,
    style: str | None = None,
    userland: Userland | None = None,
    options: Options | None = None,
    max_memory: int | None = None,
    meter: Meter | None = None,
) -> tuple[Certificate, Path]:
    """Export the checkpoint `source` to the new bundle folder `out`; returns the certificate and `out`.

    weights: None for a quantized checkpoint's own, and otherwise "int4" (a float checkpoint is quantized on the way, in
    groups of 32); "float16" (stored so, computed in float32) or "float32", for which a quantized one is dequantized.
    pages: golden pages, by default the project's examples. delegate: one of executorch.DELEGATES, by default "xnnpack";
    only for target "executorch". style: one of onnx.STYLES, only for target "onnx". options: see export.options.
    key: the Ed25519 private key (PEM) to sign the bundle with. userland: where the pages are emulated too.
    max_memory: bytes that no stage may take; meter: where the stages' peaks are added. memory.json in the bundle tells
    them. Run again after a kill, it goes on from the quantized checkpoint that it had made.
    The bundle is written even if its certificate fails, so that the failure can be looked into; a certificate of
    stages that were not run is what a bundle gets that cannot run on this machine.
    Raises UserError for what the user can mend, such as too low a max_memory; then, as after any other failure, there
    is no `out`.
    """
    if target not in TARGETS:
        raise UserError(f"target {target} is not available; this version exports {', '.join(TARGETS)}")
    pages = example_pages() if pages is None else pages
    options = options or Options()
    how: dict[str, Any] = {}
    if style is not None:
        if target != "onnx":
            raise UserError(f"--onnx-style {style} goes with --target onnx, not {target}; leave it out")
        how["style"] = style
        if style == "qdq":
            options = replace(options, exact=True)  # standard operators round nothing
    if target == "gguf":
        how["source"] = source
        gguf.check_gguf()
    if target == "executorch":
        how["delegate"] = delegate or "xnnpack"
        executorch.check_delegate(how["delegate"])
    elif delegate is not None:
        raise UserError(f"--delegate {delegate} goes with --target executorch, not {target}; leave it out")
    if options.exact:
        if target != "onnx":
            raise UserError(f"--exact goes with --target onnx, not {target}; leave it out")
        how["exact"] = True
    if options.kv == "int8" and (target != "onnx" or style == "qdq"):
        raise UserError("--kv int8 goes with --target onnx in its default style alone; leave it out")
    if weights not in (None, *WEIGHTS):
        raise UserError(f"weights {weights} are not available; this version writes {', '.join(WEIGHTS)}")
    if userland is not None:
        check_emulated(target)
    source.check_tokenizer()
    weights, meter = weights or weights_of(source), meter or Meter()
    sign = None if key is None else signer(key)
    config = with_options(source.config, options)
    quantized = weights == "int4" and kind_of(source) is None
    check_plan({"graphs": graphs_bytes(source, weights, target)}, max_memory)
    about = {"target": target, "weights": weights, "style": style, "delegate": delegate, "options": asdict(options)}
    with work_folder(out, {"source": source.identity(), **about}) as work:
        part, checkpoint = work / OUT, source
        # Only the quantized checkpoint of a run that was cut off is taken up; graphs are written anew.
        shutil.rmtree(part)
        part.mkdir()
        if quantized:
            folder = work / "checkpoint"
            if not folder.is_dir():
                quantize_checkpoint(source, folder, meter=meter, max_memory=max_memory)
            checkpoint = Checkpoint.open(folder)
        source.write_tokenizer(part / TOKENIZER)
        if options.kv == "int8":
            with meter.stage("kv scales"):
                model = load_model(checkpoint, weights, halves=True)
                how["kv_scales"] = kv_scales(model, config, Tokenizer(part / TOKENIZER), pages)
        with meter.stage("graphs"):
            model = load_model(checkpoint, weights, halves=True)
            artifacts = TARGETS[target](model, config, weights, part, **how)
            del model
        manifest = manifest_of(config, source, target, weights, {**artifacts, "tokenizer": TOKENIZER}, options)
        write_manifest(part, manifest)
        bundle = Bundle.load(part)
        with meter.stage("certificate"):
            certificate = certificate_of(bundle, checkpoint, pages, userland, room(max_memory))
        certificate.write(part)
        meter.write(part)
        write_manifest(part, manifest)
        if sign is not None:
            sign(part)
    return certificate, out


def certificate_of(
    bundle: Bundle, source: Checkpoint, pages: Sequence[Path], userland: Userland | None = None, most: int | None = None
) -> Certificate:
    """Certify a bundle against the checkpoint `source` it was made from, within its target's limits.

    userland: the emulated machine that the pages go through as well. The model is loaded anew: exporting used up the
    exporter's. A model that would take more than `most` bytes beside its bundle is read after it, layer by layer, where
    the bundle has its integers, and is not run where that is too much as well. Raises UserError as certify and emulate
    do.
    """
    target, weights = bundle.manifest.target, bundle.manifest.weights
    options = options_of(bundle)
    config = with_options(source.config, options)
    limits = EXACT if options.exact else LIMITS[target](config, weights)
    warnings = WARNINGS[target](config) if target in WARNINGS else []
    if target == "onnx" and limits is not EXACT:
        warnings.append(onnx.ROUNDED)
    if options.kv == "int8":
        limits = allowed(limits)
    together = certificate_bytes(source, config, weights)
    try:
        if most is None or together <= most:
            engine = certifying_engine(bundle)
            certificate = certify(bundle, engine, reference_of(bundle, source), pages, limits, warnings)
        elif (needed := _streamed_bytes(bundle, source, config) or together) <= most:

            def open_model() -> tuple[Llava, Config]:
                return load_model(source, weights, halves=True), config

            certificate = certify_streamed(
                bundle, partial(certifying_engine, bundle), open_model, pages, limits, warnings
            )
        else:
            reason = (
                f"it takes about {needed / 1e9:.1f} GB and {most / 1e9:.1f} GB were allowed; "
                "run pulse-verify on a larger machine"
            )
            return not_run(pages, reason, limits, warnings)
    except CannotRunHere as error:
        return not_run(pages, str(error), limits, warnings)
    if userland is None:
        return certificate
    return replace(certificate, emulated=emulate(bundle, userland, pages, limits))


def _streamed_bytes(bundle: Bundle, source: Checkpoint, config: Config) -> int | None:
    """None where the reference cannot be read layer by layer: its weights are not those of the checkpoint's file."""
    weights = bundle.manifest.weights
    streams = kind_of(source) == weights
    return streamed_bytes(bundle, source, config, weights) if streams else None


def reference_of(bundle: Bundle, source: Checkpoint) -> TorchEngine:
    """The checkpoint in float32 torch with the bundle's weights, and a config that has the bundle's options."""
    model = load_model(source, bundle.manifest.weights)
    return TorchEngine(model, with_options(source.config, options_of(bundle)))


def certifying_engine(bundle: Bundle) -> Engine:
    """What runs a bundle for its certificate: its own runtime, or an interpreter where that exists on devices only."""
    if bundle.manifest.target == "coreml":
        from export.targets.coreml.engine import open_mil_engine  # needs coremltools, which other targets do not

        return open_mil_engine(bundle)
    if bundle.manifest.target == "gguf":
        from export.targets.gguf.engine import LlamaEngine  # llama.cpp is compiled when it is installed

        return LlamaEngine(bundle)
    return open_engine(bundle)


def example_pages() -> list[Path]:
    """The ECG pages that come with the project."""
    return sorted((Path(str(resources.files("pulse"))) / "ecg" / "examples").glob("*.png"))
