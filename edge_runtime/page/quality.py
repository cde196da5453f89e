"""Would a person want to take this photo again? Blur, glare, darkness and size, before any time is spent on an answer.

Whether it is an ECG at all is the model's to say (Observation.is_ecg), once it has looked; what would help it then is
said here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_SIDE = 1000
_TILE = 20
# The example pages have 0.43 to 0.69; blurred by 1.5 pixels the photographed one has 0.11, by 3 the clean ones 0.13 to
# 0.15 (tests/demo_app/test_pictures.py).
LEAST_SHARPNESS = 0.16
MOST_GLARE = 0.02
LEAST_BRIGHTNESS = 70
LEAST_WIDTH = 500


BEATS = "beats"
HINTS = {
    BEATS: "Its curves show no heartbeats; the papers of other machines may look like an ECG's.",
    "small": "The picture is very small: go closer, or choose a larger one.",
    "dark": "The picture is very dark: take it again with more light.",
    "blur": "The picture is blurred: hold the camera still and take it again.",
    "glare": "Light shines back from the page: take it again from another side.",
}
_ELSE = "If it is one, photograph the whole page from above, so that it fills the picture."


@dataclass(frozen=True)
class Quality:
    """sharpness: the steepest step between neighbours over the range of greys, at 1,000 pixels. glare: share of the
    page that shines white without any line in it. brightness: median grey, 0 to 255. width: pixels of the longer side.
    """

    sharpness: float
    glare: float
    brightness: float
    width: int

    @property
    def problems(self) -> list[str]:
        """Keys of HINTS, the worst first; empty when the page is fine."""
        found = []
        if self.width < LEAST_WIDTH:
            found.append("small")
        if self.brightness < LEAST_BRIGHTNESS:
            found.append("dark")
        if self.sharpness < LEAST_SHARPNESS:
            found.append("blur")
        if self.glare > MOST_GLARE:
            found.append("glare")
        return found


def worst(picture: Image.Image) -> str | None:
    """The worst problem of an RGB picture, a key of HINTS; None when it has none."""
    return next(iter(judge(picture).problems), None)


def hint(problem: str | None) -> str:
    """What would help with a picture that was not taken for an ECG page and has this problem, in one sentence."""
    return _ELSE if problem is None else HINTS[problem]


def judge(page: Image.Image) -> Quality:
    """Quality of a straightened RGB page."""
    scale = _SIDE / max(page.size)
    size = (max(_TILE, round(page.width * scale)), max(_TILE, round(page.height * scale)))
    grey = np.asarray(page.convert("L").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0), np.float32)
    return Quality(_sharpness(grey), _glare(grey), float(np.median(grey)), max(page.size))


def _sharpness(grey: np.ndarray) -> float:
    low, high = np.percentile(grey, (0.5, 95))
    steps = np.concatenate([np.abs(np.diff(grey, axis=0)).ravel(), np.abs(np.diff(grey, axis=1)).ravel()])
    # The steepest half per cent is the trace's edges: there is always a trace, but little of it.
    return float(np.percentile(steps, 99.5) / max(high - low, 16.0))


def _glare(grey: np.ndarray) -> float:
    """Tiles much brighter than the page's paper, nearly white, and blank."""
    rows, cols = grey.shape[0] // _TILE, grey.shape[1] // _TILE
    tiles = grey[: rows * _TILE, : cols * _TILE].reshape(rows, _TILE, cols, _TILE)
    mean, spread = tiles.mean((1, 3)), tiles.std((1, 3))
    return float(((mean > np.median(mean) + 18) & (mean > 245) & (spread < 4)).mean())
