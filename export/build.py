"""`pulse-export` as a function: load, write the target's graphs, describe and certify them, then show the folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import Engine, open_engine
from edge_runtime.errors import CannotRunHere, UserError
from export import coreml, coreml_lint, executorch, onnx
from export.bundle import manifest_of
from export.emulated import check_emulated, emulate
from export.reference import TorchEngine
from export.sign import signer
from export.userland import Userland
from export.verify import Certificate, Limits, certify, not_run
from pulse.model.config import Config
from pulse.model.tokenizer import TOKENIZER, check_tokenizer, write_tokenizer
from quantize.folder import new_folder
from quantize.load import WEIGHTS, load_model, weights_of

# One entry a target: writes its graphs for a model into a folder and says what it wrote.
TARGETS: dict[str, Callable[..., dict[str, str]]] = {
    "onnx": onnx.write_graphs,
    "executorch": executorch.write_graphs,
    "coreml": coreml.write_graphs,
}
# By target: what a certificate allows a model in some weights; what is known not to work everywhere.
LIMITS: dict[str, Callable[[Config, str], Limits]] = {
    "onnx": onnx.limits,
    "executorch": executorch.limits,
    "coreml": coreml.limits,
}
WARNINGS: dict[str, Callable[[Config], list[str]]] = {"coreml": coreml_lint.warnings}


def build_bundle(
    source: Path,
    target: str,
    weights: str | None,
    out: Path,
    pages: Sequence[Path] | None = None,
    delegate: str | None = None,
    key: Path | None = None,
    style: str | None = None,
    userland: Userland | None = None,
) -> tuple[Certificate, Path]:
    """Export the checkpoint folder `source` to the new bundle folder `out`; returns the certificate and `out`.

    weights: None for a quantized checkpoint's own, and otherwise "int4" (a float checkpoint is quantized on the way, in
    groups of 32); "float16" (stored so, computed in float32) or "float32", for which a quantized one is dequantized.
    pages: golden pages, by default the project's examples. delegate: one of executorch.DELEGATES, by default "xnnpack";
    only for target "executorch". style: one of onnx.STYLES, only for target "onnx".
    key: the Ed25519 private key (PEM) to sign the bundle with. userland: where the pages are emulated too.
    The bundle is written even if its certificate fails, so that the failure can be looked into; a certificate of
    stages that were not run is what a bundle gets that cannot run on this machine.
    Raises UserError for what the user can mend; then, as after any other failure, there is no `out`.
    """
    if target not in TARGETS:
        raise UserError(f"target {target} is not available; this version exports {', '.join(TARGETS)}")
    options: dict[str, str] = {}
    if style is not None:
        if target != "onnx":
            raise UserError(f"--onnx-style {style} goes with --target onnx, not {target}; leave it out")
        options = {"style": style}
    if target == "executorch":
        options = {"delegate": delegate or "xnnpack"}
        executorch.check_delegate(options["delegate"])
    elif delegate is not None:
        raise UserError(f"--delegate {delegate} goes with --target executorch, not {target}; leave it out")
    if weights not in (None, *WEIGHTS):
        raise UserError(f"weights {weights} are not available; this version writes {', '.join(WEIGHTS)}")
    if userland is not None:
        check_emulated(target)
    check_tokenizer(source)
    weights = weights or weights_of(source)
    sign = None if key is None else signer(key)
    with new_folder(out) as part:
        model, config = load_model(source, weights)
        artifacts = TARGETS[target](model, config, weights, part, **options)
        write_tokenizer(source, part / TOKENIZER)
        manifest = manifest_of(config, source, target, weights, {**artifacts, "tokenizer": TOKENIZER})
        write_manifest(part, manifest)
        bundle = Bundle.load(part)
        certificate = certificate_of(bundle, source, example_pages() if pages is None else pages, userland)
        certificate.write(part)
        write_manifest(part, manifest)
        if sign is not None:
            sign(part)
    return certificate, out


def certificate_of(
    bundle: Bundle, source: Path, pages: Sequence[Path], userland: Userland | None = None
) -> Certificate:
    """Certify a bundle against the checkpoint folder `source` it was made from, within its target's limits.

    userland: the emulated machine that the pages go through as well. The model is loaded anew: exporting changed the
    layers of the exporter's. Raises UserError as certify and emulate do.
    """
    target, weights = bundle.manifest.target, bundle.manifest.weights
    reference, config = load_model(source, weights)
    limits = LIMITS[target](config, weights)
    warnings = WARNINGS[target](config) if target in WARNINGS else ()
    try:
        engine = certifying_engine(bundle)
    except CannotRunHere as error:
        return not_run(pages, str(error), limits, warnings)
    certificate = certify(bundle, engine, TorchEngine(reference, config), pages, limits, warnings)
    if userland is None:
        return certificate
    return replace(certificate, emulated=emulate(bundle, userland, pages, limits))


def certifying_engine(bundle: Bundle) -> Engine:
    """What runs a bundle for its certificate: its own runtime, or an interpreter where that exists on devices only."""
    if bundle.manifest.target == "coreml":
        from export.mil_engine import open_mil_engine  # needs coremltools, which other targets do not

        return open_mil_engine(bundle)
    return open_engine(bundle)


def example_pages() -> list[Path]:
    """The ECG pages that come with the project."""
    return sorted((Path(str(resources.files("pulse"))) / "ecg" / "examples").glob("*.png"))
