"""Overlapping patches of a picture, their spectra, and what can be asked of a spectrum: its height at a wave, the peak
near one, and the phase of a wave at the patch's centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from edge_runtime.page.together import together

PATCH, STEP = 160, 80
_INK = 0.55  # of the brightness around it
_WINDOW = np.outer(np.hanning(PATCH + 2)[1:-1], np.hanning(PATCH + 2)[1:-1]).astype(np.float32)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Patches:
    """Overlapping patches of a picture: their centres along y and x, samples [a, b, N, N] under a Hann window, and the
    magnitudes of their spectra [a, b, N, N // 2 + 1] over each one's median."""

    ys: Array
    xs: Array
    samples: Array
    ratios: Array


def contrast(picture: Array) -> Array:
    """float32 [h, w], from RGB uint8 [h, w, 3]: lines against the paper around them, in units of their usual strength;
    light falls out."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    # A red grid is dark in green and blue, a blue one in red: the darkest channel shows any, green has the least noise.
    darkest = np.minimum(np.minimum(red, green), blue)
    dark = (darkest & green) + ((darkest ^ green) >> 1)  # their mean, without more bits
    # Ink neither counts nor darkens the paper around it.
    paper = dark > _INK * _mean_around(dark)
    inked, counted = together(_mean_around, (dark * paper, paper.astype(np.uint8) * 255))
    around = inked / np.maximum(counted / 255, 0.05)
    lines = np.where(paper, dark / np.maximum(around, 8) - 1, 0)
    # Thin traces are still darker than a grid and must not drown it: most of a page is paper, which sets the scale.
    usual = 1.5 * np.median(np.abs(lines[::3, ::3])) + 2e-3
    return np.clip(lines / usual, -2.5, 2.5)


def _mean_around(values: Array) -> Array:
    """float32 [h, w]: of uint8 values [h, w] over some 40 pixels, two by two pixels alike."""
    blurred = Image.fromarray(values).reduce(2).filter(ImageFilter.BoxBlur(5)).filter(ImageFilter.BoxBlur(5))
    mean: Array = np.asarray(blurred, np.float32).repeat(2, 0).repeat(2, 1)[: values.shape[0], : values.shape[1]]
    return mean


def cut(lines: Array) -> Patches:
    """The patches of what contrast gives."""
    height, width = (max(PATCH, side) for side in lines.shape)
    if (height, width) != lines.shape:
        lines = np.pad(lines, ((0, height - lines.shape[0]), (0, width - lines.shape[1])))
    ys, xs = (np.linspace(0, side - PATCH, -(-(side - PATCH) // STEP) + 1).astype(int) for side in (height, width))
    shape = len(ys), len(xs)
    samples = np.empty((*shape, PATCH, PATCH), np.float32)
    spectra = np.empty((*shape, PATCH, PATCH // 2 + 1), np.float32)
    usual = np.empty((*shape, 1, 1), np.float32)

    def some(row: int) -> None:
        for column, x in enumerate(xs):  # one at a time, so that it stays in a processor's cache
            own = samples[row, column]
            own[...] = lines[ys[row] : ys[row] + PATCH, x : x + PATCH]
            own -= own.mean()
            own *= _WINDOW
            spectrum = np.abs(np.fft.rfft2(own), out=spectra[row, column])
            usual[row, column] = np.median(spectrum[::3, 1::3])

    together(some, range(len(ys)))
    # A patch of one colour has nothing but rounding in it.
    ratios = spectra / np.maximum(usual, 0.05 * np.median(usual) + 1e-3)
    return Patches(ys + PATCH / 2, xs + PATCH / 2, samples, ratios)


def peak(ratios: Array, waves: Array, reach: float) -> tuple[Array, Array]:
    """The highest point of spectra [a, b, N, N // 2 + 1] within `reach` of wave vectors [a, b, 2], relative to their
    length: wave vectors [a, b, 2] to a fraction of a bin, and heights [a, b]."""
    centre = waves * PATCH
    radius = np.maximum(1.5, reach * np.linalg.norm(centre, axis=-1))[..., None, None]
    half = int(np.ceil(radius.max()))
    span = np.arange(-half, half + 1)
    across = np.round(centre[..., 0]).astype(int)[..., None, None] + span
    down = np.round(centre[..., 1]).astype(int)[..., None, None] + span[:, None]
    away = np.hypot(across - centre[..., 0, None, None], down - centre[..., 1, None, None])
    window = np.where(away <= radius, read(ratios, across, down), 0).reshape(*waves.shape[:2], -1)
    best = window.argmax(-1)
    height = np.take_along_axis(window, best[..., None], -1)
    row, column = np.unravel_index(best, (len(span), len(span)))
    x, y = across[..., 0, 0] + column, down[..., 0, 0] + row
    place = np.stack([x, y], -1).astype(float)
    for axis, (dx, dy) in enumerate(((1, 0), (0, 1))):
        low, high = (read(ratios, (x + s * dx)[..., None, None], (y + s * dy)[..., None, None]) for s in (-1, 1))
        low, mid, high = (np.log(np.maximum(v.reshape(x.shape), 1e-6)) for v in (low, height, high))
        bend = low - 2 * mid + high
        place[..., axis] += np.clip(np.where(bend < 0, 0.5 * (low - high) / np.where(bend < 0, bend, -1), 0), -0.5, 0.5)
    return place / PATCH, height[..., 0]


def height_at(ratios: Array, waves: Array) -> Array:
    """Of spectra [a, b, N, N // 2 + 1] at wave vectors [a, b, 2], bilinear: [a, b]."""
    place = waves * PATCH
    low = np.floor(place).astype(int)
    right, below = np.moveaxis(place - low, -1, 0)
    x, y = (low[..., axis, None, None] for axis in (0, 1))
    height: Array = sum(
        read(ratios, x + i, y + j)[..., 0, 0] * np.abs(1 - i - right) * np.abs(1 - j - below)
        for i in (0, 1)
        for j in (0, 1)
    )
    return height


def read(ratios: Array, across: Array, down: Array) -> Array:
    """Each patch's own frequencies [a, b, h, w] of either sign: the spectrum of real samples mirrors itself."""
    mirrored = across < 0
    row, column = np.where(mirrored, -down, down) % PATCH, np.minimum(np.abs(across), PATCH // 2)
    each = np.arange(0, ratios.size, ratios[0, 0].size).reshape(*ratios.shape[:2], 1, 1)
    found: Array = ratios.reshape(-1)[each + row * ratios.shape[3] + column]
    return found


def phases_of(samples: Array, waves: Array) -> Array:
    """Cycles [a, b, 2] of waves [a, b, 2, 2] at each patch's centre, -0.5 to 0.5; 0 where a dark line runs through."""
    n = np.arange(PATCH) - PATCH / 2
    turns = np.exp(-2j * np.pi * waves[..., None] * n).astype(np.complex64)
    across = np.swapaxes(turns[:, :, :, 0], 2, 3)
    # Real products: the samples would be copied to be multiplied by complex numbers.
    rows = samples @ across.real + 1j * (samples @ across.imag)
    return np.angle(-np.einsum("abif,abfi->abf", rows, turns[:, :, :, 1])) / (2 * np.pi)
