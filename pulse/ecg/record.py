"""A Record: one electrocardiogram as samples, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.leads import LEADS as LEADS


class RecordError(UserError):
    """The samples or their description cannot be read as a 12-lead ECG; the message names the fix."""


@dataclass(frozen=True)
class Record:
    """Twelve leads in the order of `LEADS`.

    signal: float32 [12, n] in millivolts; fs: samples a second.
    scp_codes: SCP-ECG statement -> likelihood in percent, as PTB-XL gives them (0 means "not stated").
    repairs: what a reader changed to make the record usable, one sentence each.
    measurements: what the recorder itself measured, as its file says: rate (beats a minute), pr_ms, qrs_ms, qt_ms,
    qtc_bazett_ms, qtc_fridericia_ms, p_axis, qrs_axis, t_axis (degrees).
    """

    signal: np.ndarray
    fs: float
    name: str = ""
    scp_codes: dict[str, float] = field(default_factory=dict)
    report: str = ""
    heart_axis: str = ""
    patient_id: int | None = None
    age: int | None = None
    sex: str = ""
    fold: int | None = None
    repairs: tuple[str, ...] = ()
    measurements: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.fs

    def lead(self, name: str) -> np.ndarray:
        """Samples [n] of one lead, in millivolts; "-aVR" is aVR turned over."""
        return -self.lead(name[1:]) if name.startswith("-") else self.signal[LEADS.index(name)]
