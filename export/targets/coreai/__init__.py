"""Target "coreai": Core AI assets (.aimodel) for iOS 27 and macOS 27; target "coreml" is for the systems before."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from export.certificate.tolerance import Tolerance
from export.target import Job, Memory, OwnOptions, Runner, Target

if TYPE_CHECKING:
    from pulse.model.llava import Llava

# Features in float32, measured 2e-7 on pulse-nano; a factor of fifty is left for other towers.
FEATURES = Tolerance({"vision_features": 1e-5})
RAN_BY = "Apple's Core AI on this machine's CPU; Neural Engine and GPU not_run"


def _check(job: Job[OwnOptions]) -> None:
    if job.weights == "nf4":
        raise UserError("nf4 weights have no form in Core AI here; use --weights int4, or float16")
    if importlib.util.find_spec("coreai_torch") is None:
        raise UserError("target coreai needs coreai-torch, which is not installed; pip install 'pulse-edge[coreai]'")


def _write(job: Job[OwnOptions], model: Llava, folder: Path) -> dict[str, str]:
    from export.targets.coreai.tools import quiet

    with quiet():
        from export.targets.coreai.assets import write_graphs
    return write_graphs(model, job.config, job.weights, folder)


def _notes(job: Job[OwnOptions]) -> list[str]:
    from export.targets.coreai.lint import NOTES

    return list(NOTES)


def runner() -> Runner:
    """Apple's runtime on the CPU; a picture takes it seconds."""
    from export.certificate.stages import SeesOnce

    return Runner(RAN_BY, lambda bundle: SeesOnce(open_engine(bundle)))


TARGET = Target(
    title="Core AI assets",
    options=OwnOptions,
    check=_check,
    write=_write,
    notes=_notes,
    tolerance=lambda job: FEATURES,
    runner=runner,
    memory=Memory(floats=2.0, converting=4, together=1 << 62, whole_context=False),
    packages=("coreai-core", "coreai-torch"),
    chips=("Apple's CPU", "Apple's GPU", "Apple's Neural Engine"),
)
