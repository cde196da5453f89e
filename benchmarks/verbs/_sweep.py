"""The quantization sweep: schemes and methods, each against the float32 model on the same pages.

A scheme is written SCHEME, SCHEME:METHOD or either with parts in other precisions, as in int4-g32:gptq+vision=8+head=8;
"float16" is the first. All of them run in torch, so the figures are those of the weights alone and not of a format.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.subjects.subject import torch_session
from benchmarks.verbs.sweep import FLOAT16, RTN
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from export.certificate.stages import first_logits
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.calibration import Calibration, calibration_pages
from quantize.checkpoint import quantize_checkpoint
from quantize.precision import Precision
from quantize.scheme import METHODS


@dataclass(frozen=True)
class Step:
    """A scheme's figures over all pages, against float32.

    bytes: of weights. logits: relative L2 difference of the logits after the first turn, mean over pages. difference:
    mean absolute difference of the findings' probabilities, with a 95 % interval that draws pages; largest: the
    largest.
    flips: probabilities on the other side of 0.5, of `labels`. same_answers: pages with the very same greedy answer.
    """

    scheme: str
    bytes: int
    logits: float
    difference: float
    interval: tuple[float, float]
    largest: float
    flips: int
    labels: int
    same_answers: int
    pages: int


@dataclass(frozen=True)
class Reading:
    """Of a page: the logits [V] after the first turn, the greedy answer's tokens, the findings' probabilities."""

    logits: np.ndarray
    answer: tuple[int, ...]
    probabilities: np.ndarray


def parse_scheme(text: str) -> tuple[Precision, str]:
    """Precision and method of a scheme. Raises UserError for what does not exist."""
    first, *parts = text.split("+")
    scheme, _, method = first.partition(":")
    bits = {}
    for part in parts:
        name, _, number = part.partition("=")
        if not number.isdecimal():
            raise UserError(f"scheme {text}: {part} is not PART=BITS, as in vision=8")
        bits[name] = int(number)
    if (method or RTN) not in (RTN, *METHODS):
        raise UserError(f"scheme {text}: method {method} is not known; use one of rtn, {', '.join(METHODS)}")
    return Precision(scheme, bits), method or RTN


def sweep(source: Checkpoint, schemes: Sequence[str], pages: Sequence[np.ndarray], calibration: str) -> Iterator[Step]:
    """One Step a scheme, in order. source: a float checkpoint; pages: uint8 [H, W, 3]; calibration: a set by its name.

    Raises UserError before any work for a scheme that does not exist, and as quantize_checkpoint does.
    """
    plans = {name: None if name == FLOAT16 else parse_scheme(name) for name in schemes}
    looked_at = calibration_pages(calibration)
    want = _read(source, "float32", pages)
    for name, plan in plans.items():
        if plan is None:
            size = sum(2 * tensor.numel() for _, tensor in source.tensors())
            yield _step(name, size, _read(source, FLOAT16, pages), want)
            continue
        precision, method = plan
        with tempfile.TemporaryDirectory() as folder:
            how = None if method == RTN else Calibration(method, looked_at)
            summary = quantize_checkpoint(source, Path(folder) / "q", precision, how)
            yield _step(name, summary.bytes_after, _read(Checkpoint.open(Path(folder) / "q"), None, pages), want)


def _read(checkpoint: Checkpoint, weights: str | None, pages: Sequence[np.ndarray]) -> list[Reading]:
    session = torch_session(checkpoint, weights)
    return [read_page(session, page) for page in pages]


def read_page(session: Session, page: np.ndarray) -> Reading:
    """Look at a page uint8 [H, W, 3] and answer the default question greedily."""
    reply = session.look(page).ask(temperature=0, findings=True, allow_non_ecg=True, unconstrained=True).finish()
    probabilities = np.array([finding.probability for finding in reply.findings])
    return Reading(first_logits(session, page), tuple(reply.token_ids), probabilities)


def _step(scheme: str, size: int, got: Sequence[Reading], want: Sequence[Reading]) -> Step:
    ours, theirs = (np.stack([reading.probabilities for reading in side]) for side in (got, want))
    by_page = np.abs(ours - theirs).mean(1)
    drawn = np.random.default_rng(0).integers(0, len(by_page), (1000, len(by_page)))
    low, high = np.percentile(by_page[drawn].mean(1), [2.5, 97.5])
    pairs = list(zip(got, want, strict=True))
    off = [np.linalg.norm(a.logits - b.logits) / np.linalg.norm(b.logits) for a, b in pairs]
    return Step(
        scheme,
        size,
        float(np.mean(off)),
        float(by_page.mean()),
        (float(low), float(high)),
        float(np.abs(ours - theirs).max()),
        int(((ours >= 0.5) != (theirs >= 0.5)).sum()),
        ours.size,
        sum(a.answer == b.answer for a, b in pairs),
        len(want),
    )


def as_text(steps: Sequence[Step]) -> str:
    """A Markdown table, one line a scheme."""
    lines = [
        "| scheme | MB | logits off by | mean abs dp (95 % interval) | largest | flips | same answers |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for s in steps:
        low, high = s.interval
        lines.append(
            f"| {s.scheme} | {s.bytes / 1e6:.2f} | {100 * s.logits:.2f} % "
            f"| {s.difference:.4f} ({low:.4f} to {high:.4f}) "
            f"| {s.largest:.3f} | {s.flips} of {s.labels} | {s.same_answers} of {s.pages} |"
        )
    return "\n".join(lines)
