"""The certificate: does the exported bundle compute what it declares, and if not, from which stage on? What does that
cost?

Golden pages go through the bundle as a device would run it and through torch with the same weights. The stages follow
each other as data does, so the first one that fails is where to look; they decide the status. A stage that could not
run says not_run, never pass. What the declared arithmetic changes against float32 is told apart (export.certificate.
cost). A decoder that rounds activations or its cache drifts from any reference by whole rounding steps, so there the
whole pages are cost alone, and export.certificate.parts looks at its steps.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate import stages
from export.certificate.arithmetic import FLOAT32, Arithmetic
from export.certificate.cost import Cost, cost_not_run, cost_of
from export.certificate.near_ties import NearTie, near_ties
from export.certificate.rounding import rounded_as
from export.certificate.stage import Stage
from export.certificate.tolerance import EXACT, Tolerance
from pulse.model.engine import TorchEngine

CERTIFICATE = "certificate.json"
Computed = Callable[[Session, Path], np.ndarray]  # one stage's results for a page


@dataclass(frozen=True)
class Emulated:
    """The same pages on another processor's kernels, which an emulator ran: its results count, its speed says nothing.

    about: processor, emulator and versions, and those of the native side that the stages are compared with.
    """

    about: Mapping[str, Any]
    stages: tuple[Stage, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "evidence": "emulated",
            "status": _status(self.stages),
            **self.about,
            "stages": [asdict(stage) for stage in self.stages],
        }


@dataclass(frozen=True)
class Certificate:
    """What certify found, with (file name, SHA-256) of the pages it used. stages: fidelity; arithmetic: what the bundle
    declares.

    warnings: what the format is known not to do everywhere, one line each; they do not change the status.
    emulated: what another processor's kernels made of the pages, None if nobody asked. ran_by: what ran the bundle, ""
    where nothing did.
    """

    stages: tuple[Stage, ...]
    pages: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    emulated: Emulated | None = None
    ran_by: str = ""
    arithmetic: Arithmetic = FLOAT32
    cost: Cost = field(default_factory=lambda: cost_not_run("nobody asked"))

    @property
    def status(self) -> str:
        """fail if a stage failed, emulated ones too; pass if every stage ran and passed, otherwise incomplete."""
        return _status(self.stages + (self.emulated.stages if self.emulated else ()))

    @property
    def first_diverging_stage(self) -> str | None:
        """The first stage that failed, in the order of the data."""
        return next((stage.stage for stage in self.stages if stage.status == "fail"), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "first_diverging_stage": self.first_diverging_stage,
            "reference": "torch with the same weights and the arithmetic declared here",
            "arithmetic": asdict(self.arithmetic),
            "ran_by": self.ran_by,
            "warnings": list(self.warnings),
            "pages": [{"file": name, "sha256": digest} for name, digest in self.pages],
            "stages": [asdict(stage) for stage in self.stages],
            "cost": self.cost.as_json(),
            **({"emulated": self.emulated.as_json()} if self.emulated else {}),
        }

    def as_text(self) -> str:
        """Status, then one line a stage and near tie, the cost, and warnings."""
        ran_by = f" (run by {self.ran_by})" if self.ran_by else ""
        lines = [f"certificate: {self.status}{ran_by}", f"fidelity to {self.arithmetic}:", *_lines(self.stages)]
        if self.first_diverging_stage:
            lines.append(f"the bundle first differs from the model at: {self.first_diverging_stage}")
        lines += self.cost.as_text()
        lines += [f"note: {warning}" for warning in self.warnings]
        if self.emulated:
            about = self.emulated.about
            lines.append(f"emulated {about['processor']} ({about['emulator']}), against {about['reference']}:")
            lines += _lines(self.emulated.stages)
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write certificate.json into `folder`."""
        text = json.dumps(self.as_json(), indent=2, allow_nan=False)
        (folder / CERTIFICATE).write_text(text + "\n", encoding="utf-8")


def _status(several: Sequence[Stage]) -> str:
    found = {stage.status for stage in several}
    return "fail" if "fail" in found else "pass" if found == {"pass"} else "incomplete"


def _lines(several: Sequence[Stage]) -> list[str]:
    lines = []
    for stage in several:
        error = "" if stage.error is None else f"{stage.error:.1e} (at most {stage.threshold:.0e})"
        said = "; ".join(filter(None, (error, stage.reason)))
        lines.append(f"  {stage.stage:20} {stage.status:8} {said}")
        lines += [
            f"    near tie: {tie.page}, token {tie.position} ({tie.margin:.1e} of the logits' size between its two)"
            for tie in stage.near_ties
        ]
    return lines


def certify(
    bundle: Bundle,
    engine: Engine,
    reference: TorchEngine,
    pages: Sequence[Path],
    tolerance: Tolerance = EXACT,
    warnings: Sequence[str] = (),
    computed: Mapping[str, Computed] = stages.STAGES,
    arithmetic: Arithmetic = FLOAT32,
    own: Tokenizer | None = None,
) -> Certificate:
    """Run every stage on `pages` (pictures of ECG pages) with both engines and compare.

    computed: what computes each stage's results. arithmetic: what the bundle declares; where it drifts from any
    reference, whole pages are cost alone. own: the checkpoint's tokenizer, by default the bundle's. A stage in which
    the bundle raises is a failure, with the reason. Raises UserError when there are no pages, or when the reference
    itself cannot answer (a broken checkpoint).
    """
    if not pages:
        raise UserError("there are no golden pages to certify with; reinstall pulse-edge")
    tokenizer = Tokenizer(bundle.path("tokenizer"))
    ours = Session(engine, bundle.manifest.inference, tokenizer)
    # A manifest that is wrong about preprocessing, prompt or questions shows so.
    theirs = Session(reference, reference.config.inference, own or tokenizer)

    @cache
    def got(stage: str, page: Path) -> np.ndarray:
        return computed[stage](ours, page)

    @cache
    def want(stage: str, page: Path) -> np.ndarray:
        return computed[stage](theirs, page)

    @cache
    def rounded(stage: str, page: Path) -> np.ndarray:
        with rounded_as(reference.model, arithmetic):
            return computed[stage](theirs, page)

    def expected(check: Check, page: Path) -> np.ndarray:
        if check.expect is not None:
            return check.expect(theirs, page)
        if arithmetic.tower or (check.stage == "vision_features" and arithmetic.vision):
            return rounded(check.stage, page)
        return want(check.stage, page)

    def tied(page: Path, answer: np.ndarray) -> list[NearTie] | None:
        if tolerance.near_tie <= 0:
            return None
        starts = [(side.engine, *stages.after_prompt(side, page)) for side in (ours, theirs)]
        return near_ties(starts[0], starts[1], page.name, _answer_tokens(answer, theirs), tolerance.near_tie)

    found = [
        compare(check, partial(got, check.stage), partial(expected, check), pages, tied)
        for check in checks(tolerance, arithmetic)
    ]
    cost = cost_of(got, want, pages)
    return Certificate(tuple(found), digests(pages), tuple(warnings), arithmetic=arithmetic, cost=cost)


def not_run(
    pages: Sequence[Path],
    reason: str,
    tolerance: Tolerance = EXACT,
    warnings: Sequence[str] = (),
    arithmetic: Arithmetic = FLOAT32,
) -> Certificate:
    """The certificate of a bundle that this machine cannot run: no stage passes."""
    skipped = tuple(
        Stage(c.stage, c.measure, c.threshold, None, "not_run", reason) for c in checks(tolerance, arithmetic)
    )
    cost = cost_not_run(reason)
    return Certificate(skipped, digests(pages), tuple(warnings), arithmetic=arithmetic, cost=cost)


def checks(tolerance: Tolerance, arithmetic: Arithmetic = FLOAT32) -> list[Check]:
    """CHECKS with the thresholds of `tolerance`, as far as they are fidelity under that arithmetic."""
    found = CHECKS[:BEFORE_DECODER] if arithmetic.parts else CHECKS
    return [replace(check, threshold=tolerance.thresholds.get(check.stage, check.threshold)) for check in found]


def digests(pages: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    return tuple((page.name, hashlib.sha256(page.read_bytes()).hexdigest()) for page in pages)


@dataclass(frozen=True)
class Check:
    """One of stages.STAGES, what both sides' results differ by, and by how much at most.

    expect: computes the reference's side when that is not the stage itself with the reference engine.
    """

    stage: str
    measure: str
    threshold: float
    compare: Callable[[np.ndarray, np.ndarray], float]
    expect: Computed | None = None


def compare(
    check: Check,
    got: Callable[[Path], np.ndarray],
    want: Callable[[Path], np.ndarray],
    pages: Sequence[Path],
    tied: Callable[[Path, np.ndarray], list[NearTie] | None] = lambda page, want: None,
) -> Stage:
    """One stage over all pages: a page's results on either side, and the check's verdict on the worst of them.

    tied: near ties that explain other tokens than `want`, None when they are an error.
    """
    ties: list[NearTie] = []

    def result(error: float | None, status: str, reason: str = "") -> Stage:
        return Stage(check.stage, check.measure, check.threshold, error, status, reason, tuple(ties))

    expected = [want(page) for page in pages]
    if not any(len(array) for array in expected):
        return result(None, "not_run", "the model has nothing to compare here")
    errors = []
    for page, theirs in zip(pages, expected, strict=True):
        try:
            ours = got(page)
        except UserError as error:
            return result(None, "fail", f"{page.name}: {error}")
        if ours.shape != theirs.shape and check.compare is not _mismatch:
            return result(None, "fail", f"{page.name}: shape {list(ours.shape)}, not {list(theirs.shape)}")
        errors.append(check.compare(ours, theirs))
        if check.compare is _mismatch and errors[-1] > check.threshold:
            found = tied(page, theirs)
            if found is not None:
                ties += found
                errors[-1] = 0.0
    worst = float(np.max(errors))  # NaN wins, and fails below
    if not math.isfinite(worst):
        return result(None, "fail", "the bundle's numbers are not finite")
    return result(worst, "pass" if worst <= check.threshold else "fail")


def _answer_tokens(want: np.ndarray, theirs: Session) -> list[int]:
    """The reference's answer as the model gave it: with its end token, if it came to an end."""
    ids = want.tolist()[:-1]
    return ids if len(ids) == stages.GREEDY_TOKENS else [*ids, theirs.inference.model.eos_token_ids[0]]


def _absolute(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got - want).max())


def _relative(got: np.ndarray, want: np.ndarray) -> float:
    """Norm of the difference over the norm of what is wanted: a single small value cannot blow it up."""
    return float(np.linalg.norm(got - want) / max(float(np.linalg.norm(want)), 1e-12))


def _mismatch(got: np.ndarray, want: np.ndarray) -> float:
    """Share of positions with another token, from the first difference on."""
    length = max(len(got), len(want))
    same = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
    return (length - same) / length


# Measured on exact exports: pixels 2e-7, features and logits below 3e-6, probabilities below 2e-6. The thresholds
# leave two orders of magnitude for other CPUs' summation order; a wrong scale or layout is off by 0.1 and more.
CHECKS = (
    Check("pixels", "largest absolute difference", 1e-5, _absolute, stages.pixels_by_definition),
    Check("vision_features", "relative L2 difference", 3e-4, _relative),
    Check("first_logits", "relative L2 difference", 3e-4, _relative),
    Check("greedy_tokens", f"share of {stages.GREEDY_TOKENS} tokens after the first other one", 0.0, _mismatch),
    Check("label_probabilities", "largest absolute difference", 1e-3, _absolute),
)
BEFORE_DECODER = 2  # of them
