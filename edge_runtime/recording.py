"""An ECG as samples, where a cardiograph hands out its recording and not only a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.leads import LEADS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Recording:
    """mv: [12, n] millivolts in the order of LEADS, NaN where nothing is known; fs: samples a second. Raises UserError
    for other shapes and rates, and where nothing is known at all."""

    mv: Array
    fs: float

    def __post_init__(self) -> None:
        if self.mv.ndim != 2 or len(self.mv) != len(LEADS) or self.mv.shape[1] == 0:
            raise UserError(f"signals must be [{len(LEADS)}, n] samples, not {list(self.mv.shape)}")
        if not (np.isfinite(self.fs) and self.fs > 0):
            raise UserError(f"samples a second must be above 0, not {self.fs}")
        if not np.isfinite(self.mv).any():
            raise UserError("the recording holds no sample; export it again")
