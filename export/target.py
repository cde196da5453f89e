"""What an export target is: all that the build, the memory plan, the certificate and the command line need to know.

export/targets/ holds one file or folder a target, which is named as the target is; nothing outside it knows the names.
Its modules import torch and the target's own packages inside their functions, since `--help` imports every target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine, open_engine
from edge_runtime.registry import Registry
from export.certificate.arithmetic import FLOAT32, Arithmetic
from export.certificate.tolerance import Tolerance

if TYPE_CHECKING:
    from torch import Tensor

    from export.certificate.parts import Observe
    from pulse.checkpoint.checkpoint import Checkpoint
    from pulse.model.config import Config
    from pulse.model.llava import Llava


@dataclass(frozen=True)
class OwnOptions:
    """The options that a target alone has. A subclass has one field for each, named as argparse names it and with its
    default, and raises UserError for a combination that makes no sense."""

    @property
    def int8_cache(self) -> bool:
        """Whether keys and values are kept as int8: their scales are found before graphs are written."""
        return False

    @property
    def context(self) -> int | None:
        """Positions that the bundle holds: image, words and answer; None: as many as the model."""
        return None

    def recorded(self) -> dict[str, Any]:
        """What a certificate must know again, by field, for the manifest's `options`: what differs from the default."""
        return {}


Own = TypeVar("Own", bound=OwnOptions)


@dataclass(frozen=True)
class Job(Generic[Own]):
    """What is exported, and how. checkpoint: its tokenizer and, on the way to 4 bits, its integers. config: with the
    user's options in it. weights: one of quantize.kinds.WEIGHTS. own: the target's own options. kv_scales: those of an
    int8 cache (export.graph.kv), known when graphs are written. pages: what a target that has to calibrate does it on.
    """

    checkpoint: Checkpoint
    config: Config
    weights: str
    own: Own
    kv_scales: Sequence[Tensor] = ()
    pages: Sequence[Path] = ()


@dataclass(frozen=True)
class Memory:
    """What an export and its bundle take, by rules that were measured; export.plan adds up.

    floats: bytes held for each byte of the model's floats while graphs are written. converting: bytes for each byte of
    the integer layers that are converted together, and together: the most bytes of them that are (0: none).
    whole_context: the bundle keeps keys and values of its whole context, not of the request.
    """

    floats: float
    converting: float
    together: int
    whole_context: bool


@dataclass(frozen=True)
class Runner:
    """What runs a bundle for its certificate. by: what it is, which the certificate tells. evidence: "measured"
    where it is the target's own runtime, "emulated" where it imitates that, "simulated" where it is the vendor's own
    kernels or reference model of a chip that is not here."""

    by: str
    open: Callable[[Bundle], Engine]
    evidence: str = "measured"


def own_runtime() -> Runner:
    """The engine that edge_runtime runs such a bundle with."""
    return Runner("the runtime's own engine", open_engine)


@dataclass(frozen=True)
class Report:
    """What a target tells of a bundle that it wrote: lines for people, facts for --json."""

    lines: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class Arguments(Protocol):
    """What argparse's parsers and groups have in common."""

    def add_argument(self, *flags: str, **keywords: Any) -> Any: ...


@dataclass(frozen=True)
class Target(Generic[Own]):
    """A format that a checkpoint is exported to, and what runs it.

    title: what it is, in a few words. options: the dataclass of its own options, whose command-line side
    add_options adds. check(job): raises UserError, before any work, for what it cannot export here. write(job,
    model, folder): writes the graphs, uses `model` up and returns the manifest's artifacts ({"vision":
    "vision.onnx"}, paths inside the folder). arithmetic(job): what a bundle rounds. tolerance(job): what its
    certificate allows. notes(job): what is known not to work everywhere, one line each. runner(): what runs a
    bundle for its certificate on this machine. packages: those whose versions the manifest records. report(folder):
    what it tells of a bundle. simulator: the chip whose simulator runs its bundles where the chip is not, "" for
    none. chips: what its bundles are for besides this machine; a report says what was not run there. emulated: whether
    its runtime's ARM kernels can be emulated (export.certificate.emulated). insides(bundle):
    shows what its decoder computes on the way (export.certificate.insides), None where its runtime does not. name: the
    file's, which `find` fills in.
    """

    title: str
    options: type[Own]
    write: Callable[[Job[Own], Llava, Path], dict[str, str]]
    tolerance: Callable[[Job[Own]], Tolerance]
    memory: Memory
    packages: tuple[str, ...]
    arithmetic: Callable[[Job[Own]], Arithmetic] = lambda job: FLOAT32
    insides: Callable[[Bundle], Observe | None] | None = None
    add_options: Callable[[Arguments], None] = lambda parser: None
    check: Callable[[Job[Own]], None] = lambda job: None
    notes: Callable[[Job[Own]], list[str]] = lambda job: []
    runner: Callable[[], Runner] = own_runtime
    report: Callable[[Path], Report] = lambda folder: Report()
    simulator: str = ""
    chips: tuple[str, ...] = ()
    emulated: bool = False
    name: str = ""


TARGETS: Registry[Target[Any]] = Registry("export.targets", "TARGET", "target")


def find(name: str, targets: Registry[Target[Any]] = TARGETS) -> Target[Any]:
    """The target of that name. Raises UserError where there is none."""
    return replace(targets.load(name), name=name)
