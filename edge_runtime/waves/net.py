"""The network that names each sample: a 1-D U-Net (Ronneberger et al. 2015; of ECGs Moskalenko et al. 2019), run by
numpy alone: at a quarter of a million weights a convolution is one matrix product, and no engine need be opened.

Samples come at 250 Hz; the first convolution halves the rate, and the last layer gives each step's two samples. The
weights are those of `distill.delineator`, batch normalisation folded into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import IO

import numpy as np

from edge_runtime.waves.prepare import Array

CLASSES = ("none", "P", "QRS", "T")
CHANNELS = (16, 24, 32, 48, 64, 64)  # of each level; each has half the rate of the one before
KERNELS = (7, 5, 5, 5, 5, 5)
STEM = 8  # taps of the first convolution, which takes every other sample
TRAINED_ON = "trained_on"  # the numbers of LUDB's records that the weights were learned from
MULTIPLE = 2 ** len(CHANNELS)  # samples must be so many times a whole number

Weights = dict[str, Array]


@cache
def shipped() -> Weights:
    """The weights that come with the package."""
    with (files(__package__) / "delineator.npz").open("rb") as file:
        return load(file)


def load(file: IO[bytes]) -> Weights:
    """Layer -> float32 array, and TRAINED_ON, of a file that `distill.delineator` wrote."""
    with np.load(file) as kept:
        return {name: kept[name] if name == TRAINED_ON else kept[name].astype(np.float32) for name in kept.files}


def layers() -> Iterator[tuple[str, int, int, int]]:
    """Name, taps, channels in and out of each convolution, in the order in which they run."""
    yield "stem", STEM, 1, CHANNELS[0]
    for level, (taps, width) in enumerate(zip(KERNELS, CHANNELS, strict=True)):
        yield f"down{level}a", taps, CHANNELS[max(level - 1, 0)], width
        yield f"down{level}b", taps, width, width
    for level in reversed(range(len(CHANNELS) - 1)):
        yield f"up{level}a", 5, CHANNELS[level + 1] + CHANNELS[level], CHANNELS[level]
        yield f"up{level}b", 5, CHANNELS[level], CHANNELS[level]
    yield "head", 1, CHANNELS[0], 2 * len(CLASSES)


def log_probabilities(signal: Array, weights: Weights | None = None) -> Array:
    """float32 [leads, n, 4] of CLASSES for normalized samples [leads, n] at 250 Hz, any n."""
    weights = shipped() if weights is None else weights
    leads, size = signal.shape
    x = np.pad(signal, ((0, 0), (0, -size % MULTIPLE)))[..., None].astype(np.float32)
    x = _conv(x, weights, "stem", stride=2)
    kept = []
    for level in range(len(CHANNELS)):
        if level:
            kept.append(x)
            x = x.reshape(leads, -1, 2, x.shape[2]).max(2)
        x = _conv(_conv(x, weights, f"down{level}a"), weights, f"down{level}b")
    for level in reversed(range(len(CHANNELS) - 1)):
        x = np.concatenate([np.repeat(x, 2, axis=1), kept[level]], axis=2)
        x = _conv(_conv(x, weights, f"up{level}a"), weights, f"up{level}b")
    scores = _conv(x, weights, "head", rectify=False).reshape(leads, -1, len(CLASSES))[:, :size]
    scores -= scores.max(2, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(2, keepdims=True)))


def _conv(x: Array, weights: Weights, name: str, stride: int = 1, rectify: bool = True) -> Array:
    """Of [leads, n, channels in], zeros beyond the ends: rows of taps x channels, which lie one after the other in
    memory, times the weights [taps x channels in, out]."""
    kernel, bias = weights[f"{name}.w"], weights[f"{name}.b"]
    leads, size, width = x.shape
    taps = len(kernel) // width
    if taps > 1:
        before = (taps - stride) // 2
        x = np.pad(x, ((0, 0), (before, taps - stride - before), (0, 0)))
        step = x.strides
        rows = np.lib.stride_tricks.as_strided(
            x, (leads, size // stride, taps * width), (step[0], stride * step[1], step[2]), writeable=False
        )
    else:
        rows = x
    made = rows.reshape(-1, taps * width) @ kernel + bias
    if rectify:
        np.maximum(made, 0, out=made)
    return made.reshape(leads, size // stride, -1)
