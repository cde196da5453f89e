"""The grid of ECG paper in a photograph: where its squares lie, however the sheet is turned, tilted or bent.

Grid paper is locally a sum of two plane waves. The picture is cut into overlapping patches; in the spectrum of each
the two waves are peaks whose places are wave vectors (cycles a pixel) and whose phases say where the lines lie to a
fraction of a pixel (windowed Fourier analysis of fringes: Kemao, Appl. Opt. 43, 2695, 2004). Phases of neighbours
differ by what the wave vectors predict, which unwraps them into whole squares counted from one patch. No line and no
corner has to be seen: a patch without a grid is left out, and its neighbours do without it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

WORK = 1280  # pixels of the longer side that the search looks at
PATCH, STEP = 160, 80
_LEAST_PERIOD, _MOST_PERIOD = 3.0, 60.0  # pixels a line
_ANGLES = np.deg2rad(np.arange(180.0))
_PERIODS = np.geomspace(_LEAST_PERIOD, _MOST_PERIOD, 160)
_LEAST_PEAK = 4.0  # of a patch's peak over its spectrum's median
_LEAST_CLEAR = 10.0  # the median of those peaks: noise gives 6, the faintest of real pages 17
_LEAST_PATCHES = 6
_MOST_JUMP = 0.3  # squares between a phase and what a neighbour's waves predict

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Lattice:
    """Patches in which the grid was followed, in pixels of the picture that was searched.

    at: centres (x, y) [n, 2]. waves: [n, 2, 2], cycles a pixel along x and y of the lines that count u (across the
    page) and of those that count v (down). squares: [n, 2], u and v at the centre, from an arbitrary origin.
    strength: [n], the lower of the two peaks over the patch's median. share: of the picture's patches, 0 to 1.
    """

    at: Array
    waves: Array
    squares: Array
    strength: Array
    share: float

    @property
    def period(self) -> float:
        """Pixels a square, the median over patches and both directions."""
        return float(np.median(1 / np.linalg.norm(self.waves, axis=2)))

    @property
    def clear(self) -> Array:
        """Which patches surely lie on the paper, bool [n]: beside its edge a patch is half as clear or less."""
        clear: Array = self.strength >= max(_LEAST_CLEAR, 0.5 * float(np.median(self.strength)))
        return clear

    def divided(self, count: int) -> Lattice:
        """With squares of `count` by `count` of these."""
        return replace(self, waves=self.waves / count, squares=self.squares / count)

    def height(self, patches: Patches, factor: float) -> float:
        """The median peak of waves `factor` times as dense; 0 where they are too fine or too coarse to be seen."""
        if not _LEAST_PERIOD * 0.8 < self.period / factor < _MOST_PERIOD:
            return 0.0
        rows, columns = np.searchsorted(patches.ys, self.at[:, 1]), np.searchsorted(patches.xs, self.at[:, 0])
        ratios = patches.ratios[rows, columns][None]
        return float(np.median(_both(ratios, self.waves[None] * factor, 0.0)[1]))


@dataclass(frozen=True)
class Patches:
    """Overlapping patches of a picture: their centres along y and x, samples [a, b, N, N] under a Hann window, and the
    magnitudes of their spectra [a, b, N, N // 2 + 1] over each one's median."""

    ys: Array
    xs: Array
    samples: Array
    ratios: Array


_WINDOW = np.outer(np.hanning(PATCH + 2)[1:-1], np.hanning(PATCH + 2)[1:-1]).astype(np.float32)


def contrast(picture: Image.Image) -> Array:
    """float32 [h, w]: lines against the paper around them, in units of their usual strength; light falls out."""
    channels = np.asarray(picture.convert("RGB"))
    # A red grid is dark in green and blue, a blue one in red: the darkest channel shows any, green has the least noise.
    dark = Image.fromarray(((channels.min(2).astype(np.uint16) + channels[..., 1]) // 2).astype(np.uint8))
    around = np.asarray(dark.filter(ImageFilter.BoxBlur(10)).filter(ImageFilter.BoxBlur(10)), np.float32)
    lines = np.asarray(dark, np.float32) / np.maximum(around, 8) - 1
    return np.clip(lines / (np.std(lines[::3, ::3]) + 1e-3), -2.5, 2.5)


def cut(lines: Array) -> Patches:
    """The patches of what contrast gives."""
    height, width = (max(PATCH, side) for side in lines.shape)
    if (height, width) != lines.shape:
        lines = np.pad(lines, ((0, height - lines.shape[0]), (0, width - lines.shape[1])))
    ys, xs = (np.linspace(0, side - PATCH, -(-(side - PATCH) // STEP) + 1).astype(int) for side in (height, width))
    views = np.lib.stride_tricks.sliding_window_view(lines, (PATCH, PATCH))[np.ix_(ys, xs)]
    samples = (views - views.mean((2, 3), keepdims=True)) * _WINDOW
    spectra = np.abs(np.fft.rfft2(samples)).astype(np.float32)
    usual = np.median(spectra[:, :, ::3, 1::3], axis=(2, 3), keepdims=True)
    # A patch of one colour has nothing but rounding in it.
    ratios = spectra / np.maximum(usual, 0.05 * np.median(usual) + 1e-3)
    return Patches(ys + PATCH / 2, xs + PATCH / 2, samples, ratios)


def find(patches: Patches) -> Lattice | None:
    """The strongest pair of crossing waves, followed from patch to patch; None where there is none."""
    waves = _strongest_pair(patches)
    return None if waves is None else follow(patches, waves)


def _strongest_pair(patches: Patches) -> Array | None:
    """Wave vectors [2, 2] of the two nearly perpendicular families of lines that most patches share."""
    ratios = np.minimum(patches.ratios, 60.0)
    polar = _polar(ratios.mean((0, 1)))
    polar /= np.median(polar) + 1e-6
    best, found = 1.5, None
    order = np.argsort(-polar, axis=None)[:2000]
    seen: list[tuple[int, int]] = []
    for angle, period in zip(*np.unravel_index(order, polar.shape), strict=True):
        if any(min(abs(angle - a), 180 - abs(angle - a)) < 4 and abs(period - p) < 4 for a, p in seen):
            continue
        seen.append((int(angle), int(period)))
        low = max(0, period - 16)
        for skew in range(-18, 19):
            other = (angle + 90 + skew) % 180
            second = low + int(np.argmax(polar[other, low : period + 17]))
            score = np.sqrt(polar[angle, period] * polar[other, second])
            score *= (1 - abs(skew) / 60) * (1 - abs(second - period) / 60)
            if score > best:
                best, found = score, (angle, period, other, second)
        if len(seen) == 12:
            break
    if found is None:
        return None
    directions = np.array([[np.cos(_ANGLES[a]), np.sin(_ANGLES[a])] for a in (found[0], found[2])])
    waves = directions / _PERIODS[[found[1], found[3]]][:, None]
    return _across_first(waves)


def _across_first(waves: Array) -> Array:
    """The wave that runs across the picture first, both pointing to the right and down."""
    if abs(waves[0, 0]) / np.linalg.norm(waves[0]) < abs(waves[1, 0]) / np.linalg.norm(waves[1]):
        waves = waves[::-1]
    return np.stack([waves[0] * (1 if waves[0, 0] > 0 else -1), waves[1] * (1 if waves[1, 1] > 0 else -1)])


def _polar(spectrum: Array) -> Array:
    """A spectrum [N, N // 2 + 1] by angle and period [180, 160], bilinear."""
    across, down = (f(_ANGLES)[:, None] / _PERIODS * PATCH for f in (np.cos, np.sin))
    across, down = np.abs(across), np.where(across < 0, -down, down)
    x, y = np.floor(across).astype(int), np.floor(down).astype(int)
    p, q = across - x, down - y
    right = np.minimum(x + 1, PATCH // 2)
    x = np.minimum(x, PATCH // 2)
    top = spectrum[y % PATCH, x] * (1 - p) + spectrum[y % PATCH, right] * p
    below = spectrum[(y + 1) % PATCH, x] * (1 - p) + spectrum[(y + 1) % PATCH, right] * p
    return top * (1 - q) + below * q


def follow(patches: Patches, waves: Array) -> Lattice | None:
    """Follow two waves [2, 2] over all patches; None where too few hold them."""
    ratios = patches.ratios
    grid = np.stack(np.meshgrid(patches.xs, patches.ys), -1)
    shape = grid.shape[:2]
    own, strength = _both(ratios, np.broadcast_to(waves, (*shape, 2, 2)), 0.25)
    for reach in (0.15, 0.1):
        own, strength = _both(ratios, _smooth(grid, own, strength), reach)
    strength[np.linalg.norm(own, axis=3).min(2) < 0.7 / _MOST_PERIOD] = 0  # a slope, not a wave
    phases = _phases(patches.samples, own)
    squares = _unwrap(grid, own, phases, strength)
    held = np.isfinite(squares[..., 0])
    if held.sum() < _LEAST_PATCHES or np.median(strength[held]) < _LEAST_CLEAR:
        return None
    return Lattice(grid[held], own[held], squares[held], strength[held], float(held.mean()))


def _both(ratios: Array, waves: Array, reach: float) -> tuple[Array, Array]:
    """The peaks of both families near waves [a, b, 2, 2]: wave vectors, and the lower of the two heights [a, b]."""
    first, second = (_peak(ratios, waves[:, :, family], reach) for family in (0, 1))
    return np.stack([first[0], second[0]], 2), np.minimum(first[1], second[1])


def _smooth(grid: Array, own: Array, strength: Array) -> Array:
    """Wave vectors that change over the picture as a plane does, fitted to the clear patches without the outliers."""
    centre = grid.reshape(-1, 2).mean(0)
    basis = np.concatenate([np.ones((*grid.shape[:2], 1)), (grid - centre) / 1000], -1).reshape(-1, 3)
    values = own.reshape(-1, 4)
    weight = np.clip(strength.ravel() - _LEAST_PEAK, 0, 20) + 1e-6
    for _ in range(4):
        fitted = basis @ np.linalg.lstsq(basis * weight[:, None], values * weight[:, None], rcond=None)[0]
        miss = np.abs(fitted - values).max(1) / np.linalg.norm(own, axis=3).mean()
        weight = np.clip(strength.ravel() - _LEAST_PEAK, 0, 20) / (1 + (miss / 0.05) ** 2) + 1e-6
    return fitted.reshape(own.shape)


def _peak(ratios: Array, waves: Array, reach: float) -> tuple[Array, Array]:
    """The highest point of spectra [a, b, N, N // 2 + 1] within `reach` of wave vectors [a, b, 2], relative to their
    length: wave vectors [a, b, 2] to a fraction of a bin, and heights [a, b]."""
    centre = waves * PATCH
    radius = np.maximum(1.5, reach * np.linalg.norm(centre, axis=-1))[..., None, None]
    half = int(np.ceil(radius.max()))
    span = np.arange(-half, half + 1)
    across = np.round(centre[..., 0]).astype(int)[..., None, None] + span
    down = np.round(centre[..., 1]).astype(int)[..., None, None] + span[:, None]
    away = np.hypot(across - centre[..., 0, None, None], down - centre[..., 1, None, None])
    window = np.where(away <= radius, _read(ratios, across, down), 0).reshape(*waves.shape[:2], -1)
    best = window.argmax(-1)
    height = np.take_along_axis(window, best[..., None], -1)
    row, column = np.unravel_index(best, (len(span), len(span)))
    x, y = across[..., 0, 0] + column, down[..., 0, 0] + row
    place = np.stack([x, y], -1).astype(float)
    for axis, (dx, dy) in enumerate(((1, 0), (0, 1))):
        low, high = (_read(ratios, (x + s * dx)[..., None, None], (y + s * dy)[..., None, None]) for s in (-1, 1))
        low, mid, high = (np.log(np.maximum(v.reshape(x.shape), 1e-6)) for v in (low, height, high))
        bend = low - 2 * mid + high
        place[..., axis] += np.clip(np.where(bend < 0, 0.5 * (low - high) / np.where(bend < 0, bend, -1), 0), -0.5, 0.5)
    return place / PATCH, height[..., 0]


def _read(ratios: Array, across: Array, down: Array) -> Array:
    """Each patch's own frequencies [a, b, h, w] of either sign: the spectrum of real samples mirrors itself."""
    mirrored = across < 0
    row, column = np.where(mirrored, -down, down) % PATCH, np.minimum(np.abs(across), PATCH // 2)
    a, b = np.indices(ratios.shape[:2])
    return ratios[a[..., None, None], b[..., None, None], row, column]


def _unwrap(grid: Array, own: Array, phases: Array, strength: Array) -> Array:
    """Whole squares added to phases [a, b, 2], from the clearest patch outwards, the clearest neighbour first; NaN
    where a patch is unclear or its phase is not what its neighbour's waves predict."""
    squares = np.full(phases.shape, np.nan)
    start = np.unravel_index(np.argmax(strength), strength.shape)
    queue = [(0.0, (int(start[0]), int(start[1])), (int(start[0]), int(start[1])))]
    while queue:
        _, here, before = heapq.heappop(queue)
        if np.isfinite(squares[here][0]):
            continue
        if here == before:
            squares[here] = phases[here]
        else:
            expected = squares[before] + (own[here] + own[before]) @ (grid[here] - grid[before]) / 2
            value = phases[here] + np.round(expected - phases[here])
            if np.abs(value - expected).max() > _MOST_JUMP:
                continue
            squares[here] = value
        j, i = here
        for there in ((j, i + 1), (j, i - 1), (j + 1, i), (j - 1, i)):
            inside = 0 <= there[0] < strength.shape[0] and 0 <= there[1] < strength.shape[1]
            if inside and strength[there] >= _LEAST_PEAK and not np.isfinite(squares[there][0]):
                heapq.heappush(queue, (-float(strength[there]), there, here))
    return squares


def _phases(samples: Array, waves: Array) -> Array:
    """Cycles [a, b, 2] of waves [a, b, 2, 2] at each patch's centre, -0.5 to 0.5; 0 where a dark line runs through."""
    n = np.arange(PATCH) - PATCH / 2
    turns = np.exp(-2j * np.pi * waves[..., None] * n).astype(np.complex64)
    values = [
        np.einsum("abij,abi,abj->ab", samples, turns[:, :, f, 1], turns[:, :, f, 0], optimize=True) for f in (0, 1)
    ]
    return np.angle(-np.stack(values, -1)) / (2 * np.pi)
