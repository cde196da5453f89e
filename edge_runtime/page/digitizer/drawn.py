"""What was read of a page, drawn over it: each lead's curve in a colour of its own, with its name."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_runtime.page.digitizer.signals import Signals
from edge_runtime.page.digitizer.view import Array

_COLOURS = ((200, 0, 0), (0, 110, 0), (0, 60, 200), (150, 0, 150))
_SCALE = 2  # pixels of the page that make one of the picture


def draw(page: Array, signals: Signals) -> Image.Image:
    """The evenly lit page uint8 [h, w, 3] that the signals were read from, the right way up, half its size."""
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(page, signals.turns)))
    picture = turned.resize((turned.width // _SCALE, turned.height // _SCALE), Image.Resampling.BOX)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, lead in enumerate(signals.placed):
        colour = _COLOURS[number % len(_COLOURS)]
        columns = np.arange(max(0, round(lead.left)), min(signals.curves.shape[1], round(lead.right)))
        curve = signals.curves[lead.row, columns]
        known = np.isfinite(curve)
        if not known.any():
            continue
        for part in np.split(np.flatnonzero(known), np.flatnonzero(np.diff(np.flatnonzero(known)) > 1) + 1):
            points = np.stack([columns[part], curve[part]], 1) / _SCALE
            pen.line([tuple(point) for point in points.tolist()], fill=colour, width=2)
        at = (float(columns[0]) / _SCALE + 3, float(np.nanmin(curve)) / _SCALE - 18)
        pen.text(at, lead.lead, fill=colour, font=font)
    return picture
