"""The same pages through several bundles: do the formats say the same, and how far apart are their probabilities?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.session import Session

ROUNDS = 1000


@dataclass(frozen=True)
class Reading:
    """What one engine says of one page: the greedy answer to the default question, and a probability a finding."""

    token_ids: tuple[int, ...]
    probabilities: np.ndarray  # float64 [F]


@dataclass(frozen=True)
class Agreement:
    """A bundle against float32 torch with the same weights.

    same_answers: pages whose whole answer is the same. difference: mean absolute difference of the probabilities, with
    a 95 % interval that draws pages (the findings of one page are not independent). flips: probabilities on the other
    side of 0.5, of `labels` in all.
    """

    bundle: str
    target: str
    weights: str
    pages: int
    same_answers: int
    difference: float
    interval: tuple[float, float]
    largest: float
    flips: int
    labels: int


def read_pages(session: Session, pages: Sequence[Path]) -> list[Reading]:
    """One Reading a page, in order."""
    readings = []
    for page in pages:
        reply = session.look(page).ask(temperature=0, findings=True, allow_non_ecg=True, unconstrained=True).finish()
        readings.append(Reading(tuple(reply.token_ids), np.array([f.probability for f in reply.findings], np.float64)))
    return readings


def agreement(bundle: Bundle, got: Sequence[Reading], want: Sequence[Reading], seed: int = 0) -> Agreement:
    """Compare what a bundle and its reference said of the same pages; without findings the differences are 0."""
    ours, theirs = (np.stack([reading.probabilities for reading in side]) for side in (got, want))
    by_page = np.abs(ours - theirs).mean(1) if ours.size else np.zeros(len(got))
    drawn = np.random.default_rng(seed).integers(0, len(by_page), (ROUNDS, len(by_page)))
    low, high = np.percentile(by_page[drawn].mean(1), [2.5, 97.5])
    return Agreement(
        bundle=bundle.folder.name,
        target=bundle.manifest.target,
        weights=bundle.manifest.weights,
        pages=len(got),
        same_answers=sum(a.token_ids == b.token_ids for a, b in zip(got, want, strict=True)),
        difference=float(by_page.mean()),
        interval=(float(low), float(high)),
        largest=float(np.abs(ours - theirs).max(initial=0.0)),
        flips=int(((ours >= 0.5) != (theirs >= 0.5)).sum()),
        labels=ours.size,
    )


def as_table(rows: Sequence[Agreement]) -> str:
    """The rows as text, one line each."""
    lines = ["target      weights  same answers  mean |dp| (95 % interval)    largest  flips"]
    for row in rows:
        low, high = row.interval
        lines.append(
            f"{row.target:11} {row.weights:7}  {f'{row.same_answers} of {row.pages}':12}  "
            f"{row.difference:.1e} ({low:.1e} to {high:.1e})  {row.largest:.1e}  {row.flips} of {row.labels}"
        )
    return "\n".join(lines)
