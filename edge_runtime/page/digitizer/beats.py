"""Whether a page's curves have heartbeats, named or not: the papers of other machines look much like an ECG's."""

from __future__ import annotations

import numpy as np

from edge_runtime.page.digitizer.sheet import PX_PER_MM
from edge_runtime.page.digitizer.view import View
from edge_runtime.waves.delineate import delineate

# QRS complexes a second on the median row. Of 64 real pages one had fewer than 0.6, which was read on its side for
# nothing; of pictures that are no ECG and were taken for one 15 of 16 fewer than 0.3.
_FEWEST = 0.35
_PX_PER_S, _PX_PER_MV = 25.0 * PX_PER_MM, 10.0 * PX_PER_MM


def has_beats(view: View) -> bool:
    """Whether its rows show heartbeats, as of 25 mm/s and 10 mm/mV."""
    mv = (np.nanmedian(view.curves, axis=1, keepdims=True) - view.curves) / _PX_PER_MV
    seconds = np.isfinite(mv).sum(1) / _PX_PER_S
    beats = [sum(wave.kind == "QRS" for wave in row) for row in delineate(mv.astype(np.float32), _PX_PER_S)]
    return bool(np.median(np.array(beats) / np.maximum(seconds, 1.0)) >= _FEWEST)
