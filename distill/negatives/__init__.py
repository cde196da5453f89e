"""Pictures that are no ECG, drawn so that the student learns to say so."""

from __future__ import annotations

import numpy as np

from distill.negatives import curves, papers, scenes
from pulse.ecg.photo.flattened import flattened
from pulse.ecg.photo.photograph import photograph

_KINDS = (*curves.KINDS, *papers.KINDS, *scenes.KINDS)


def not_an_ecg(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """uint8 RGB [height, width, 3]; two in three are photographed or flattened, as the ECG pages are."""
    image = _KINDS[int(rng.integers(len(_KINDS)))](rng, width, height)
    how = rng.random()
    return photograph(image, rng) if how < 0.4 else flattened(image, rng) if how < 0.66 else image
