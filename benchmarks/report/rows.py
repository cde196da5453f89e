"""What report.json holds, row by row; its JSON schema is generated from these (benchmarks/report/schema.py).

Times are in milliseconds, sizes in bytes or MB as named, figures of answers as their task gives them (percent as PULSE
prints them; AUC of probabilities and calibration error as fractions). A field with a default may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

SCHEMA_VERSION = 2

Evidence = Literal["measured", "simulated", "emulated", "estimated", "not_run"]
Status = Literal["pass", "fail", "incomplete"]
Sha256 = Annotated[str, {"pattern": "^[0-9a-f]{64}$"}]
Interval = Annotated[list[float], {"minItems": 2, "maxItems": 2}]
Spread = Annotated[list[float | None], {"minItems": 2, "maxItems": 2}]


@dataclass(frozen=True)
class Subject:
    """A bundle, or a checkpoint (target "torch")."""

    folder: str
    name: str
    target: str
    weights: str
    bytes: int
    sha256: Sha256


@dataclass(frozen=True)
class Certificate:
    status: Status


@dataclass(frozen=True)
class BundleRow(Subject):
    """certificate: the bundle's own, None where it has none."""

    certificate: Certificate | None


@dataclass(frozen=True)
class Environment:
    cpu: str
    cores: int
    system: str
    python: str
    packages: dict[str, str | None]


@dataclass(frozen=True)
class FigureRow:
    """benchmarks.metrics.spread.Figure: rounds holds each round's median."""

    median: float
    interval: Interval
    min: float
    max: float
    rounds: Annotated[list[float], {"minItems": 1}]


@dataclass(frozen=True)
class SettingRow:
    threads: int | None
    context: int | None
    provider: str | None
    tiles: int | None


@dataclass(frozen=True)
class LatencyRow:
    """Figures where times count, an answer where it was emulated or simulated, a reason where it was not run."""

    bundle: Subject
    setting: SettingRow
    evidence: Evidence
    reason: str = ""
    figures: dict[str, FigureRow | None] | None = None
    answer: dict[str, Any] | None = None
    prompt_positions: int | None = None
    image_positions: int | None = None
    tokens: int | None = None

    RULES: ClassVar = {
        "allOf": [
            {
                "if": {"properties": {"evidence": {"const": evidence}}, "required": ["evidence"]},
                "then": {"required": required},
            }
            for evidence, required in (
                ("not_run", ["reason"]),
                ("simulated", ["answer"]),
                ("emulated", ["answer"]),
                ("measured", ["figures", "prompt_positions", "image_positions", "tokens"]),
            )
        ]
    }


@dataclass(frozen=True)
class About:
    """What a device tells of itself; more than this where it can."""

    cpu: str | None


@dataclass(frozen=True)
class DeviceRow:
    """rows: one a bundle. sweep: the first bundle at other contexts and tiles."""

    address: str
    evidence: Evidence
    about: About
    rows: list[LatencyRow]
    sweep: list[LatencyRow]


@dataclass(frozen=True)
class AnswerRow:
    """benchmarks.task.Answered."""

    id: str
    group: str
    questions: list[str]
    gold: list[str]
    answers: list[str]
    likelihood: float | None
    is_ecg: float | None
    probabilities: dict[str, float]
    left_out: list[str]
    fits: bool


@dataclass(frozen=True)
class Difference:
    """Of one figure, reference against model."""

    reference: float | None
    model: float | None
    difference: float | None
    interval: Spread


@dataclass(frozen=True)
class ClassChange:
    """benchmarks.metrics.paired: answers that named the class newly or no longer, and McNemar's p."""

    gained: int
    lost: int
    better: int
    worse: int
    p: float


@dataclass(frozen=True)
class Gate:
    """Something beside the headline that a verdict needs."""

    value: float | None
    limit: float
    status: Literal["pass", "fail", "not_run"]


@dataclass(frozen=True)
class Verdict:
    """changed: non-inferior by its figure, but a gate fails."""

    figure: str
    margin: float
    found: Literal["non-inferior", "changed", "inconclusive", "inferior"]
    gates: dict[str, Gate] | None = None


@dataclass(frozen=True)
class Flip:
    """An answer of which a class changed."""

    id: str
    gold: list[str]
    reference: list[str]
    model: list[str]


@dataclass(frozen=True)
class Kept:
    """benchmarks.metrics.paired.compare."""

    records: int
    figures: dict[str, Difference]
    classes: dict[str, ClassChange]
    verdict: Verdict
    probability_shift: float | None
    same_answers: int
    flips: list[Flip]
    probability_largest: float | None = None


@dataclass(frozen=True, kw_only=True)
class Said:
    """A subject's answers and their figures, whose shape is the task's own. ran_by: what computed them."""

    subject: Subject
    evidence: Evidence
    ran_by: str = ""
    figures: dict[str, Any]
    answers: list[AnswerRow]


@dataclass(frozen=True, kw_only=True)
class SaidModel(Said):
    """Of a subject that is not the reference: what it kept of it."""

    kept: Kept


@dataclass(frozen=True)
class Accuracy:
    """benchmarks.verbs.retention.measure; groups are what intervals draw."""

    task: str
    data: str
    margin: float
    records: int
    groups: int
    reference: Said
    models: list[SaidModel]


@dataclass(frozen=True)
class StageRow:
    stage: str
    threshold: float
    error: float | None
    status: Literal["pass", "fail", "not_run"]


@dataclass(frozen=True)
class Parity:
    """A bundle on another processor's kernels, emulated, against this machine's."""

    folder: str
    evidence: Literal["emulated"]
    status: Status
    processor: str
    stages: list[StageRow]


@dataclass(frozen=True)
class FitRow:
    efficiency: dict[str, float]
    overhead_us: float
    runs: int


@dataclass(frozen=True)
class LeftOut:
    """A bundle that the fit had not seen: what it took, and what was estimated."""

    bundle: str
    phase: str
    measured_ms: float
    estimated_ms: float
    error: float


@dataclass(frozen=True)
class EstimateRow:
    bundle: str
    device: str
    evidence: Literal["estimated", "not_run"]
    reason: str = ""
    figures: dict[str, float] | None = None


@dataclass(frozen=True)
class Estimates:
    fit: FitRow
    median_error: float | None
    left_out: list[LeftOut]
    rows: list[EstimateRow]


@dataclass(frozen=True)
class ChipRow:
    """benchmarks.report.chips: what there is of a target on a chip, in words, by evidence."""

    target: str
    chip: str
    measured: list[str]
    simulated: list[str]
    emulated: list[str]
    estimated: list[str]
    not_run: list[str]


@dataclass(frozen=True)
class Report:
    """What `pulse-bench report` writes as report.json."""

    schema_version: Annotated[int, {"const": SCHEMA_VERSION}]
    created: str
    pulse_edge: str
    command: str
    notice: str
    environment: Environment
    bundles: Annotated[list[BundleRow], {"minItems": 1}]
    devices: list[DeviceRow]
    parity: list[Parity]
    estimates: Estimates | None
    accuracy: Accuracy
    chips: list[ChipRow] | None = None
