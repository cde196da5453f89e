"""Target "qnn": graphs of fixed sizes for the Hexagon NPU of Qualcomm's phones, through ONNX Runtime's QNN provider."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UserError
from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.tolerance import Tolerance
from export.target import Arguments, Job, Memory, OwnOptions, Report, Runner, Target

if TYPE_CHECKING:
    from pulse.model.llava import Llava

CALIBRATION = "calibration.json"
CHUNK = 32
# Qualcomm's numbers of a chip and of its Hexagon: Snapdragon 8 Gen 2, 8 Gen 3, 8 Elite, 8 Elite Gen 5.
CHIPS = {"sm8550": ("43", "73"), "sm8650": ("57", "75"), "sm8750": ("69", "79"), "sm8850": ("87", "81")}
# Integers of 16 bits and float16 at work, measured on the simulator with pulse-nano and a small random model: features
# are off by up to 1.0e-3, logits by 1.5e-3 (each relative to its norm), probabilities by 2.0e-3. The thresholds leave a
# factor of five or more; a past that is not read, a scale or a position that is wrong are off by 0.1 and more.
SIXTEEN_BITS = Tolerance(
    {"vision_features": 5e-3, "first_logits": 1e-2, "label_probabilities": 1e-2},
    near_tie=1e-2,
)
_INTEGERS = ("int4", "int8")


@dataclass(frozen=True)
class QnnOptions(OwnOptions):
    """window: positions that the graphs hold, None: the model's own. chunk: positions of a prompt that are read at
    once. soc: chips that the graphs are compiled for as well, with commas between them; "none" for none."""

    window: int | None = None
    chunk: int = CHUNK
    soc: str = ",".join(CHIPS)

    def __post_init__(self) -> None:
        if self.chunk < 2:
            raise UserError(f"--chunk {self.chunk}: a prompt is read 2 positions at a time or more; give 32 or 128")
        if unknown := [chip for chip in self.chips if chip not in CHIPS]:
            raise UserError(f"--soc {unknown[0]}: not a chip that this version compiles for; use {', '.join(CHIPS)}")

    @property
    def chips(self) -> list[str]:
        """The chips that graphs are compiled for."""
        return [] if self.soc == "none" else self.soc.split(",")

    @property
    def context(self) -> int | None:
        return self.window

    def recorded(self) -> dict[str, Any]:
        return {
            **({} if self.window is None else {"window": self.window}),
            **({} if self.chunk == CHUNK else {"chunk": self.chunk}),
            **({} if self.chips == list(CHIPS) else {"soc": self.soc}),
        }


def _add_options(parser: Arguments) -> None:
    parser.add_argument("--window", type=int, metavar="N", help="positions of page, words and answer (the model's own)")
    parser.add_argument(
        "--soc", default=QnnOptions.soc, metavar="S,S", help="chips to compile for, or none (%(default)s)"
    )
    parser.add_argument("--chunk", type=int, default=CHUNK, metavar="N", help="of a prompt, read at once (%(default)s)")


def _check(job: Job[QnnOptions]) -> None:
    if job.weights == "nf4":
        raise UserError("nf4 weights have no form on Hexagon; use --weights int4, or float16")
    if job.own.chips and importlib.util.find_spec("onnxruntime_qnn") is None:
        raise UserError(
            "compiling for Hexagon needs onnxruntime-qnn, which is not installed; pip install 'pulse-edge[npu]' on x86 "
            "Linux, or give --soc none"
        )


def _write(job: Job[QnnOptions], model: Llava, folder: Path) -> dict[str, str]:
    from edge_runtime.tokenizer import Tokenizer
    from export.certificate.certify import digests
    from export.targets.qnn.contexts import compile_contexts
    from export.targets.qnn.graphs import write_graphs
    from export.targets.qnn.ranges import HEADROOM, Ranges, ranges_on
    from pulse.checkpoint.tokenizer import TOKENIZER
    from quantize.load import load_model

    ranges, pages = Ranges(), job.pages if job.weights in _INTEGERS else ()
    if pages:
        calibrated = load_model(job.checkpoint, job.weights, halves=True)
        for each in (model, calibrated):
            _round_tower(each)
        ranges = ranges_on(calibrated, job.config, Tokenizer(folder / TOKENIZER), pages)
    artifacts = write_graphs(model, job.config, job.weights, folder, ranges, job.own.chunk)
    named = [{"file": name, "sha256": digest} for name, digest in digests(pages)]
    told = {"pages": named, "headroom": HEADROOM, "ranges": ranges.as_json()}
    (folder / CALIBRATION).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if job.own.chips:
        artifacts |= compile_contexts(folder, artifacts, {chip: CHIPS[chip] for chip in job.own.chips})
    return {**artifacts, "calibration": CALIBRATION}


def _round_tower(model: Llava) -> None:
    from quantize.tower import int8_convolutions

    for name, layer in int8_convolutions(model.vision_tower).items():
        model.vision_tower.set_submodule(name, layer)


def _arithmetic(job: Job[QnnOptions]) -> Arithmetic:
    if job.weights not in _INTEGERS:
        return Arithmetic(Activations.FLOAT16, vision=True)
    return Arithmetic(Activations.UINT16, vision=True, tower="int8")


def _report(folder: Path) -> Report:
    from export.targets.qnn.contexts import FOLDER, sizes

    found = sizes(folder, sorted(path.name for path in folder.glob(f"{FOLDER}/*")))
    lines = [f"compiled for {chip}: {size / 1e6:.1f} MB" for chip, size in found.items()]
    return Report(lines, {"contexts": found})


def runner() -> Runner:
    """The chip where it is, elsewhere Qualcomm's simulator of it."""
    from edge_runtime.engines import open_engine
    from edge_runtime.engines.qnn import simulator
    from export.certificate.stages import SeesOnce

    simulated = simulator()
    if not simulated:
        return Runner("Hexagon", open_engine)
    return Runner(simulated, lambda bundle: SeesOnce(open_engine(bundle)), "simulated")  # seconds a picture


TARGET = Target(
    title="ONNX graphs for Qualcomm's Hexagon",
    options=QnnOptions,
    add_options=_add_options,
    check=_check,
    write=_write,
    arithmetic=_arithmetic,
    tolerance=lambda job: SIXTEEN_BITS,
    runner=runner,
    memory=Memory(floats=2.0, converting=0, together=0, whole_context=True),
    report=_report,
    simulator="hexagon",
    chips=tuple(f"Hexagon of {chip}" for chip in CHIPS),
    packages=("onnx", "onnxscript", "onnxruntime"),
)
