"""One stage of a certificate: what was compared, how far apart it is, and whether that is too far."""

from __future__ import annotations

from dataclasses import dataclass

from export.certificate.near_ties import NearTie


@dataclass(frozen=True)
class Stage:
    """One stage over all pages. error: the worst page's; None when it did not run or gave no finite number.

    near_ties: tokens that differ without counting as errors.
    """

    stage: str
    measure: str
    threshold: float
    error: float | None
    status: str  # pass | fail | not_run
    reason: str = ""
    near_ties: tuple[NearTie, ...] = ()
