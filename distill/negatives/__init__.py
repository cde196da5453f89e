"""Pictures that are no ECG, drawn so that the student learns to say so."""

from __future__ import annotations

import numpy as np
from PIL import Image

from distill.negatives import curves, papers, scenes, screens, textures
from edge_runtime.page.reading import read
from pulse.ecg.photo.photograph import photograph

_KINDS = (*curves.KINDS, *papers.KINDS, *scenes.KINDS, *screens.KINDS, *textures.KINDS)


def not_an_ecg(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """uint8 RGB [h, w, 3], as large as these or up to twice, of any shape from upright to wide.

    Some are photographed; of some the page reader makes what it makes of them: it takes many a thing for a grid, and
    what it hands on then looks like a page.
    """
    larger, wider = rng.uniform(1, 2), rng.uniform(0.65, 1.25)
    size = round(width * larger * min(1, wider)), round(height * larger * min(1, 1 / wider))
    image = _KINDS[int(rng.integers(len(_KINDS)))](rng, *size)
    how = rng.random()
    if how < 0.3:
        image = photograph(image, rng)
    if 0.2 < how < 0.6:
        image = np.asarray(read(Image.fromarray(image)).picture)
    return image
