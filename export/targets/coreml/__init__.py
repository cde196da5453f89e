"""Target "coreml": Core ML packages for iOS 18 and macOS 15."""

from __future__ import annotations

import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine, open_engine
from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.tolerance import Tolerance
from export.target import Job, Memory, OwnOptions, Runner, Target

if TYPE_CHECKING:
    from export.certificate.parts import Observe
    from pulse.model.llava import Llava

# Bytes of weights in one decoder package. Apple keeps a package under 1 GB for the Neural Engine of phones:
# https://github.com/apple/ml-stable-diffusion (--chunk-unet). Converting takes about four times a package's integers.
PACKAGE_BYTES = 500_000_000
# float16 at work, measured with the interpreter on pulse-nano and on small random models: features are off by up to
# 4e-4, logits by 2e-3 (each relative to its norm), probabilities by 6e-4. The thresholds leave a factor of five for
# other models; a wrong scale, position or layout is off by 0.03 and more. A near tie is one that two logits, each
# off by the threshold, can decide: a LLaVA of random weights has one of 1.2e-2 after 2,900 positions.
HALF = Tolerance(
    {
        "vision_features": 2e-3,
        "token_embeddings": 2e-3,
        "decoder_steps": 5e-3,
        "first_logits": 1e-2,
        "label_probabilities": 5e-3,
    },
    near_tie=2e-2,
)
_OLDEST_MACOS = 15  # the first that keeps states


def runner(system: str | None = None, macos: str | None = None) -> Runner:
    """Apple's own runtime on a Mac that has it, elsewhere the interpreter of export.mil.

    system, macos: as platform.system and platform.mac_ver tell them; by default this machine's.
    """
    system = platform.system() if system is None else system
    macos = platform.mac_ver()[0] if macos is None else macos
    if system == "Darwin" and int(macos.split(".")[0] or 0) >= _OLDEST_MACOS:
        return Runner(f"Apple's Core ML, macOS {macos}", open_engine)
    return Runner("an interpreter of the packages (export.mil), not Apple's Core ML", _open_interpreter, "emulated")


def _open_interpreter(bundle: Bundle) -> Engine:
    from edge_runtime.engines.coreml import CoreMLEngine
    from export.mil import MilModel

    return CoreMLEngine(bundle, MilModel)


def _check(job: Job[OwnOptions]) -> None:
    from export.targets.coreml.lint import check_weights

    check_weights(job.weights)


def _write(job: Job[OwnOptions], model: Llava, folder: Path) -> dict[str, str]:
    from export.targets.coreml.packages import write_graphs

    return write_graphs(model, job.config, job.weights, folder)


def _notes(job: Job[OwnOptions]) -> list[str]:
    from export.targets.coreml.lint import warnings

    return warnings(job.config)


def _arithmetic(job: Job[OwnOptions]) -> Arithmetic:
    activations = Activations.FLOAT32 if job.weights == "float32" else Activations.FLOAT16
    return Arithmetic(activations, vision=True, cache="float16")


def _insides(bundle: Bundle) -> Observe:
    from export.targets.coreml.insides import observe

    return partial(observe, bundle)


TARGET = Target(
    title="Core ML packages",
    options=OwnOptions,
    check=_check,
    write=_write,
    arithmetic=_arithmetic,
    tolerance=lambda job: HALF,
    insides=_insides,
    notes=_notes,
    runner=runner,
    memory=Memory(floats=1.0, converting=4, together=PACKAGE_BYTES, whole_context=False),
    packages=("coremltools",),
    chips=("Apple's CPU", "Apple's GPU", "Apple's Neural Engine"),
)
