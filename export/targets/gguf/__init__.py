"""Target "gguf": decoder.gguf and mmproj.gguf for llama.cpp and the programs that are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine
from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.tolerance import EIGHT_BIT_ACTIVATIONS
from export.target import Job, Memory, OwnOptions, Runner, Target

if TYPE_CHECKING:
    from pulse.model.llava import Llava


def _check(job: Job[OwnOptions]) -> None:
    from export.targets.gguf.files import check

    check(job.checkpoint, job.config, job.weights)


def _write(job: Job[OwnOptions], model: Llava, folder: Path) -> dict[str, str]:
    from export.targets.gguf.files import write_graphs

    return write_graphs(model, job.config, job.weights, folder, job.checkpoint)


def _notes(job: Job[OwnOptions]) -> list[str]:
    from export.targets.gguf.files import warnings

    return warnings(job.config)


def _open_llama(bundle: Bundle) -> Engine:
    from export.targets.gguf.engine import LlamaEngine  # llama.cpp is compiled when it is installed

    return LlamaEngine(bundle)


TARGET = Target(
    title="GGUF files for llama.cpp",
    options=OwnOptions,
    check=_check,
    write=_write,
    arithmetic=lambda job: Arithmetic(Activations.Q8_0, vision=True, cache="float16"),
    tolerance=lambda job: EIGHT_BIT_ACTIVATIONS,  # held against float32: the reference does not round as ggml does
    notes=_notes,
    runner=lambda: Runner("llama.cpp, through llama-cpp-python", _open_llama),
    # llama.cpp sets the whole context's keys and values aside when it opens a model.
    memory=Memory(floats=1.0, converting=0, together=0, whole_context=True),
    packages=("gguf",),
)
