"""What a bundle's arithmetic changes against float32 torch with the same weights: no fault, but a price.

Fidelity (export.certificate.certify) asks whether a bundle computes what it declares, this how far what it declares is
from float32 on the golden pages. The verdict has a margin, and does not change the certificate's status.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import UserError

Results = Callable[[str, Path], np.ndarray]  # what a side makes of a page, by stage


@dataclass(frozen=True)
class Margin:
    """What may change and still be called the same: probabilities by at most `largest`, by `mean` on average, and at
    least the share `answers` of whole answers token by token. Chosen between rounding that did no harm (8-bit
    activations and caches: 0.026 and 0.003 at most, 99 % of answers) and a fault that F1 did not see (a pool computed
    wrongly on an NPU's simulator: 0.217 and 0.021, 94 %)."""

    largest: float = 0.1
    mean: float = 0.01
    answers: float = 0.95


MARGIN = Margin()


@dataclass(frozen=True)
class Cost:
    """Absolute differences of the logits after the first turn (size: the root mean square of the reference's own) and
    of the probabilities of all findings, and pages of which the whole answer is the same.

    verdict: within (the margin), beyond, or not_run, with the reason. None where there is nothing to compare.
    """

    verdict: str
    reason: str = ""
    pages: int = 0
    logits_largest: float | None = None
    logits_mean: float | None = None
    logits_size: float | None = None
    probabilities_largest: float | None = None
    probabilities_mean: float | None = None
    same_answers: int | None = None
    margin: Margin = MARGIN

    def as_json(self) -> dict[str, Any]:
        return {"reference": "float32 torch with the same (dequantized) weights", **asdict(self)}

    def as_text(self) -> list[str]:
        """A line for the verdict, and one a figure."""
        margin = (
            f"probabilities {self.margin.largest:g} at most and {self.margin.mean:g} on average, "
            f"{self.margin.answers:.0%} of answers the same"
        )
        lines = [f"cost against float32: {self.verdict} {self.reason or f'the margin ({margin})'}"]
        if self.logits_largest is not None:
            lines.append(
                f"  logits               {self.logits_largest:.1e} at most, {self.logits_mean:.1e} on average, of "
                f"{self.logits_size:.1e}"
            )
        if self.probabilities_largest is not None:
            lines.append(
                f"  label_probabilities  {self.probabilities_largest:.1e} at most, {self.probabilities_mean:.1e} on "
                "average"
            )
        if self.same_answers is not None:
            lines.append(f"  answers              {self.same_answers} of {self.pages} the same")
        return lines


def cost_not_run(reason: str) -> Cost:
    """Nobody knows."""
    return Cost("not_run", reason)


def cost_of(got: Results, want: Results, pages: Sequence[Path], margin: Margin = MARGIN) -> Cost:
    """The cost on `pages`; not_run where the bundle cannot answer, or its numbers are of other shapes or not finite."""

    def differences(stage: str) -> tuple[np.ndarray, np.ndarray]:
        ours, theirs = (np.concatenate([side(stage, page) for page in pages]) for side in (got, want))
        if ours.shape != theirs.shape or not np.isfinite(ours).all():
            raise UserError(f"{stage}: the bundle's numbers are not finite, or too few")
        return np.abs(ours - theirs), theirs

    try:
        logits, size = differences("first_logits")
        probabilities, _ = differences("label_probabilities")
        same = sum(np.array_equal(got("greedy_tokens", page), want("greedy_tokens", page)) for page in pages)
    except UserError as error:
        return cost_not_run(str(error))
    largest, mean = (float(probabilities.max()), float(probabilities.mean())) if probabilities.size else (None, None)
    within = (largest or 0.0) <= margin.largest and (mean or 0.0) <= margin.mean and same >= margin.answers * len(pages)
    return Cost(
        verdict="within" if within else "beyond",
        pages=len(pages),
        logits_largest=float(logits.max()),
        logits_mean=float(logits.mean()),
        logits_size=float(np.sqrt(np.square(size).mean())),
        probabilities_largest=largest,
        probabilities_mean=mean,
        same_answers=same,
        margin=margin,
    )
