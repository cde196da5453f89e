"""Target "executorch": one .pte program for ExecuTorch's stock runners, lowered for a kind of processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.certificate.arithmetic import FLOAT32, Activations, Arithmetic
from export.certificate.tolerance import EXACT, Tolerance
from export.target import Arguments, Job, Memory, OwnOptions, Target
from export.targets.executorch.delegate import DELEGATES, usable
from export.targets.executorch.report import report_of

if TYPE_CHECKING:
    from pulse.model.llava import Llava

# Bytes of weights in one program of a decoder that does not fit into one.
PROGRAM_BYTES = 350_000_000
DEFAULT = "xnnpack"
# Of features whose activations are rounded on both sides: measured 2e-7 to 1.1e-4, where some patches of a page fell on
# the other side of a rounding step. The rounding itself is 2e-3 to 6e-3.
ROUNDED = Tolerance({"vision_features": 1e-3})


@dataclass(frozen=True)
class ExecutorchOptions(OwnOptions):
    """delegate: one of DELEGATES, what runs the program."""

    delegate: str = DEFAULT


def _add_options(parser: Arguments) -> None:
    parser.add_argument(
        "--delegate", choices=DELEGATES.names(), default=DEFAULT, help="what runs the program (%(default)s)"
    )


def _check(job: Job[ExecutorchOptions]) -> None:
    usable(job.own.delegate)


def _write(job: Job[ExecutorchOptions], model: Llava, folder: Path) -> dict[str, str]:
    from export.targets.executorch.program import write_graphs

    return write_graphs(model, job.config, job.weights, folder, job.own.delegate)


def _arithmetic(job: Job[ExecutorchOptions]) -> Arithmetic:
    """Where integer weights meet activations of 8 bits; XNNPACK keeps the scales of 4-bit groups as bfloat16."""
    if job.weights not in ("int4", "int8"):
        return FLOAT32
    if DELEGATES.load(job.own.delegate).quantize_activations:
        return Arithmetic(Activations.INT8_TOKENS, vision=True, scales="bfloat16")
    return Arithmetic(Activations.FLOAT16, vision=True)


def _tolerance(job: Job[ExecutorchOptions]) -> Tolerance:
    return ROUNDED if _arithmetic(job).activations == Activations.INT8_TOKENS else EXACT


TARGET = Target(
    title="an ExecuTorch program",
    options=ExecutorchOptions,
    add_options=_add_options,
    check=_check,
    write=_write,
    arithmetic=_arithmetic,
    tolerance=_tolerance,
    # It keeps keys and values of the whole context; lowering copies a program's weights several times.
    memory=Memory(floats=1.2, converting=6, together=PROGRAM_BYTES, whole_context=True),
    packages=("executorch", "torchao"),
    chips=("a phone's CPU (XNNPACK)",),
    report=report_of,
)
