"""Whether a page's curves have heartbeats, named or not: the papers of other machines look much like an ECG's."""

from __future__ import annotations

import numpy as np

from edge_runtime.page.digitizer.sheet import PX_PER_MM
from edge_runtime.page.digitizer.view import View
from edge_runtime.waves.delineate import delineate

_PX_PER_S, _PX_PER_MV = 25.0 * PX_PER_MM, 10.0 * PX_PER_MM


def beats_per_second(view: View) -> float:
    """QRS complexes a second on the median row, as of 25 mm/s and 10 mm/mV."""
    mv = (np.nanmedian(view.curves, axis=1, keepdims=True) - view.curves) / _PX_PER_MV
    seconds = np.isfinite(mv).sum(1) / _PX_PER_S
    beats = [sum(wave.kind == "QRS" for wave in row) for row in delineate(mv.astype(np.float32), _PX_PER_S)]
    return float(np.median(np.array(beats) / np.maximum(seconds, 1.0)))
