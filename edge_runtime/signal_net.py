"""What the leads themselves say of a bundle's findings: a residual 1-D network, run by numpy on any engine.

Its file is one more artifact of the bundle, the same bytes for every target, written by `python -m distill.signals`.
At a million weights a convolution is one matrix product, and no engine need be opened (as edge_runtime.waves.net).
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.recording import Recording
from edge_runtime.signal_input import signal_input

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]
ARTIFACT, FILE = "signals", "signals.npz"
CHANNELS = (32, 64, 128, 192)  # of each stage; each but the first has half the rate of the one before
BLOCKS = 2  # of each stage
STEM, KERNEL = 15, 5  # taps
_LABELS, _MODEL = "labels", "model"
_SCALES = ".scales"  # of a kernel's int8 weights, one a channel out
_DAMAGED = "export the bundle again"


class SignalNet:
    """labels: of the findings that it knows. model: the digest of the checkpoint that it was calibrated beside."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read a file that distill.signals wrote; raises UserError for any other."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                self.labels = tuple(str(label) for label in kept[_LABELS])
                self.model = str(kept[_MODEL])
                self._weights = {name: kept[name].astype(np.float32) for name in kept.files if "." in name}
            for name in [name for name in self._weights if name.endswith(_SCALES)]:
                self._weights[name.removesuffix(_SCALES) + ".w"] *= self._weights.pop(name)
            if self._weights["head.b"].shape != (len(self.labels),):
                raise ValueError("as many log odds as labels are needed")
            self.log_odds(np.zeros((24, 1024), np.float32))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: is no network of signals ({error}); {_DAMAGED}") from None

    def read(self, recording: Recording) -> dict[str, float]:
        """Log odds of each label."""
        odds = self.log_odds(signal_input(recording))
        return dict(zip(self.labels, odds.tolist(), strict=True))

    def log_odds(self, leads: Array) -> Array:
        """float32 [labels] of one recording's signal_input [24, 1024]."""
        weights = self._weights
        x = _rectified(_conv(leads.T, weights, "stem", STEM, 2))
        x = x.reshape(len(x) // 2, 2, -1).max(1)
        for stage in range(len(CHANNELS)):
            for block in range(BLOCKS):
                x = _block(x, weights, f"{stage}.{block}", halve=stage > 0 and block == 0)
        seen = np.concatenate([x.mean(0), x.max(0)])
        odds: Array = seen @ weights["head.w"] + weights["head.b"]
        return odds


def save(path: str | os.PathLike[str], weights: Weights, labels: tuple[str, ...], model: str) -> None:
    """Write what SignalNet reads, kernels in 8 bits with a scale a channel. weights: by distill.signals.net.exported,
    in the order of labels."""
    stored: dict[str, Array] = {}
    for name, values in weights.items():
        stored[name] = values.astype(np.float16)
        if name.endswith(".w"):
            scales = np.maximum(np.abs(values).max(0) / 127, 1e-12).astype(np.float32)
            stored[name] = np.round(values / scales).astype(np.int8)
            stored[name.removesuffix(".w") + _SCALES] = scales
    with open(path, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **stored, **{_LABELS: np.array(labels), _MODEL: np.array(model)})


def _block(x: Array, weights: Weights, name: str, halve: bool) -> Array:
    """Of [steps, channels in] -> [steps or half as many, channels out]."""
    y = _conv(_rectified(_conv(x, weights, f"{name}.a", KERNEL, 2 if halve else 1)), weights, f"{name}.b", KERNEL)
    if halve:
        x = x.reshape(len(x) // 2, 2, -1).mean(1)
    if f"{name}.skip.w" in weights:
        x = _conv(x, weights, f"{name}.skip", 1)
    return _rectified(y + x)


def _conv(x: Array, weights: Weights, name: str, taps: int, stride: int = 1) -> Array:
    """Of [steps, channels in], zeros beyond the ends: rows of taps x channels times [taps x channels in, out]."""
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=0)[::stride]  # [steps, channels, taps]
    rows = windows.transpose(0, 2, 1).reshape(len(windows), -1)
    made: Array = rows @ weights[f"{name}.w"] + weights[f"{name}.b"]
    return made


def _rectified(x: Array) -> Array:
    return np.maximum(x, 0, out=x)
