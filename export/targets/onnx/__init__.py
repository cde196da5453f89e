"""Target "onnx": three ONNX graphs for ONNX Runtime on any CPU, or in standard operators for other compilers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.tolerance import EXACT
from export.target import Arguments, Job, Memory, OwnOptions, Target

if TYPE_CHECKING:
    from export.certificate.parts import Observe
    from pulse.model.config import Config
    from pulse.model.llava import Llava

STYLES, KV = ("nbits", "qdq"), ("float", "int8")
ROUNDED = (
    "the decoder's activations are rounded to 8 bits, which adds up over many layers; pulse-export --exact multiplies "
    "in float32, far slower"
)
_LARGE = 1024  # hidden size from which speed is bound by the weights


@dataclass(frozen=True)
class OnnxOptions(OwnOptions):
    """onnx_style: one of STYLES. kv: one of KV, how keys and values are kept between steps. exact: no activation is
    rounded to 8 bits, which large decoders do for their speed. Raises UserError for an int8 cache in style "qdq"."""

    onnx_style: str = STYLES[0]
    kv: str = KV[0]
    exact: bool = False

    def __post_init__(self) -> None:
        if self.int8_cache and self.standard:
            raise UserError("--kv int8 goes with --target onnx in its default style alone; leave it out")

    @property
    def standard(self) -> bool:
        """Whether all is standard operators."""
        return self.onnx_style == "qdq"

    @property
    def int8_cache(self) -> bool:
        return self.kv == "int8"

    def recorded(self) -> dict[str, Any]:
        exact = self.exact or self.standard  # standard operators round nothing
        return {**({"kv": self.kv} if self.int8_cache else {}), **({"exact": True} if exact else {})}


def rounds(config: Config, exact: bool = False) -> bool:
    """Whether the decoder's products of quantized weights round activations to 8 bits; exact: never, whatever it costs.

    Measured on 2 cores, batch 1: from 2048 to 1024 features the exact product is off by 1e-6 and takes 0.54 ms, the
    rounded one by 0.5 % and takes 0.18 ms; the layers of a 7B model take 31.7 ms for three, rounded 14.7. At
    pulse-nano's 192 both take the same, so exactness is free. The vision tower is always exact: a page passes it once,
    5 % of the prompt's work in a 7B, and what it rounds every layer of the decoder reads.
    """
    return config.text.hidden_size >= _LARGE and not exact


def _rounded(job: Job[OnnxOptions]) -> bool:
    exact = bool(job.own.recorded().get("exact"))
    return job.weights in ("int4", "int8") and rounds(job.config, exact)


def _add_options(parser: Arguments) -> None:
    parser.add_argument(
        "--onnx-style",
        choices=STYLES,
        default=STYLES[0],
        help="nbits: ONNX Runtime's own operators, the fastest there; qdq: standard ones, for TensorRT (nbits)",
    )
    parser.add_argument("--kv", choices=KV, default=KV[0], help="how keys and values are kept (%(default)s)")
    parser.add_argument(
        "--exact", action="store_true", help="no activations of 8 bits, which large decoders take for speed"
    )


def _write(job: Job[OnnxOptions], model: Llava, folder: Path) -> dict[str, str]:
    from export.targets.onnx.graphs import write_graphs

    own = job.own
    return write_graphs(model, job.config, job.weights, folder, own.onnx_style, job.kv_scales, own.exact)


def _arithmetic(job: Job[OnnxOptions]) -> Arithmetic:
    activations = Activations.INT8_BLOCKS if _rounded(job) else Activations.FLOAT32
    return Arithmetic(activations, cache="int8" if job.own.int8_cache else "float32")


def _insides(bundle: Bundle) -> Observe | None:
    from export.targets.onnx.insides import Observed, is_observable

    return Observed(bundle).read if is_observable(bundle) else None


TARGET = Target(
    title="ONNX graphs for ONNX Runtime",
    options=OnnxOptions,
    add_options=_add_options,
    write=_write,
    arithmetic=_arithmetic,
    tolerance=lambda job: EXACT,
    insides=_insides,
    notes=lambda job: [ROUNDED] if _rounded(job) else [],
    memory=Memory(floats=1.0, converting=0, together=0, whole_context=False),
    packages=("onnx", "onnxscript", "onnxruntime"),
    chips=("a phone's CPU", "a GPU (WebGPU)", "a Jetson's GPU (CUDA, TensorRT)"),
    emulated=True,
)
