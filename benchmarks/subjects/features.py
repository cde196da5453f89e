"""How far the vision towers of two subjects are apart: what a headline of answers does not see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from benchmarks.subjects.subject import Subject
from benchmarks.task import Asked, Drawn
from edge_runtime.prefix import page_prefix

PAGES = 8  # the first ones: a tower that computes wrongly does so on all


def features_of(subject: Subject, asked: Iterable[Asked], most: int = PAGES) -> list[np.ndarray]:
    """What the decoder reads of each of the first `most` pictures, float32 [P, D]. Raises UserError when the subject
    cannot be run."""
    session = subject.session()
    pictures = (each.picture for each in islice(asked, most))
    drawn = (each.page() if isinstance(each, Drawn) else each for each in pictures)
    return [page_prefix(each, session.engine, session.inference, session.prompt).embeds for each in drawn]


def apart(reference: Sequence[np.ndarray], model: Sequence[np.ndarray]) -> float | None:
    """Relative L2 difference on the worst page; None where the towers give features of other shapes."""
    pairs = list(zip(reference, model, strict=False))
    if not pairs or any(a.shape != b.shape for a, b in pairs):
        return None
    return max(float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-12)) for a, b in pairs)
