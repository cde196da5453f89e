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

from edge_runtime.page.together import halves, together

WORK = 1280  # pixels of the longer side that the search looks at
PATCH, STEP = 160, 80
_INK = 0.55  # of the brightness around it
_LEAST_PERIOD, _MOST_PERIOD = 3.0, 60.0  # pixels a line
_ANGLES = np.deg2rad(np.arange(180.0))
_PERIODS = np.geomspace(_LEAST_PERIOD, _MOST_PERIOD, 160)
_LEAST_PEAK = 4.0  # of a patch's peak over its spectrum's median
_LEAST_CLEAR = 10.0  # the median of those peaks: noise gives 6, the faintest of real pages 17
_LEAST_PATCHES = 6
_LEAST_SCORE = 1.1  # of crossing waves, over the spectrum's median
# Bins around a peak, outside what the window smears it over.
_RING = np.round(4.5 * np.array([np.cos(np.arange(24) * np.pi / 12), np.sin(np.arange(24) * np.pi / 12)])).astype(int)
_SEEDS = 6
_NEARLY = 0.6  # of the evidence for the best pair of waves
_LEAST_CROSSING = 0.7  # sine of the angle between both families of lines
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
        """Which patches surely lie on the paper, bool [n]: across its edge a patch is less clear."""
        clear: Array = self.strength >= max(_LEAST_CLEAR, 0.7 * float(np.median(self.strength)))
        return clear

    def divided(self, count: int) -> Lattice:
        """With squares of `count` by `count` of these."""
        return replace(self, waves=self.waves / count, squares=self.squares / count)

    def diagonal(self) -> Array:
        """Wave vectors [n, 2, 2] of which these would be the diagonals, as in a grid of dots."""
        across, down = self.waves[:, 0] / 2, self.waves[:, 1] / 2
        return np.stack([across + down, down - across], 1)

    def height(self, patches: Patches, factor: float) -> float:
        """The median peak of waves `factor` times as dense; 0 where they are too fine or too coarse to be seen."""
        if not _LEAST_PERIOD * 0.8 < self.period / factor < _MOST_PERIOD:
            return 0.0
        return self.clear_in(patches, self.waves * factor)

    def clear_in(self, patches: Patches, waves: Array) -> float:
        """The median height of waves [n, 2, 2] in its own patches, the lower of the two, just where they would be: the
        next whole number of lines is a bin away."""
        rows, columns = np.searchsorted(patches.ys, self.at[:, 1]), np.searchsorted(patches.xs, self.at[:, 0])
        ratios = patches.ratios[rows, columns][None]
        return float(np.median(np.minimum(_height(ratios, waves[None, :, 0]), _height(ratios, waves[None, :, 1]))))


@dataclass(frozen=True)
class Patches:
    """Overlapping patches of a picture: their centres along y and x, samples [a, b, N, N] under a Hann window, and the
    magnitudes of their spectra [a, b, N, N // 2 + 1] over each one's median."""

    ys: Array
    xs: Array
    samples: Array
    ratios: Array


_WINDOW = np.outer(np.hanning(PATCH + 2)[1:-1], np.hanning(PATCH + 2)[1:-1]).astype(np.float32)


def contrast(picture: Array) -> Array:
    """float32 [h, w], from RGB uint8 [h, w, 3]: lines against the paper around them, in units of their usual strength;
    light falls out."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    # A red grid is dark in green and blue, a blue one in red: the darkest channel shows any, green has the least noise.
    darkest = np.minimum(np.minimum(red, green), blue)
    dark = (darkest & green) + ((darkest ^ green) >> 1)  # their mean, without more bits
    # Ink neither counts nor darkens the paper around it.
    paper = dark > _INK * _mean_around(dark)
    around = _mean_around(dark * paper) / np.maximum(_mean_around(paper.astype(np.uint8) * 255) / 255, 0.05)
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
    views = np.lib.stride_tricks.sliding_window_view(lines, (PATCH, PATCH))

    def some(rows: range) -> tuple[Array, Array, Array]:
        """Samples, magnitudes and their medians of some rows of patches."""
        samples = views[np.ix_(ys[rows], xs)]
        samples = (samples - samples.mean((2, 3), keepdims=True)) * _WINDOW
        spectra = np.abs(np.fft.rfft2(samples)).astype(np.float32)
        return samples, spectra, np.median(spectra[:, :, ::3, 1::3], axis=(2, 3), keepdims=True)

    parts = together(some, halves(len(ys)))
    samples, spectra, usual = (np.concatenate(part) for part in zip(*parts, strict=True))
    # A patch of one colour has nothing but rounding in it.
    ratios = spectra / np.maximum(usual, 0.05 * np.median(usual) + 1e-3)
    return Patches(ys + PATCH / 2, xs + PATCH / 2, samples, ratios)


def find(patches: Patches) -> Lattice | None:
    """A pair of crossing waves that stands out in most patches, followed from one to the next; None where none does.

    Sums of waves of a grid of thin lines are as clear as these: of the clear pairs the coarsest is the grid.
    """
    pairs = _candidates(patches)
    if not pairs:
        return None
    evidence = [_evidence(patches, waves) for waves in pairs]
    clear = [waves for waves, found in zip(pairs, evidence, strict=True) if found >= _NEARLY * max(evidence)]
    return follow(patches, min(clear, key=lambda waves: float(np.linalg.norm(waves))))


def _candidates(patches: Patches) -> list[Array]:
    """Wave vectors [2, 2] of pairs of nearly perpendicular families of lines: the strongest, and those that stand out.

    For the latter squares are averaged, so that a page in few of the patches is heard beside a desk in many.
    """
    ratios = np.minimum(patches.ratios, 60.0)
    mean, squares = (_polar(values.mean((0, 1))) for values in (ratios, ratios**2))
    usual = mean / (np.median(mean, axis=0) + 1e-6)
    strongest = _distinct(_pairs(mean / (np.median(mean) + 1e-6)))[:3]
    return strongest + _distinct(_pairs(usual))[:2] + _distinct(_pairs(_prominent(np.sqrt(squares))))[:3]


def _distinct(pairs: list[Array]) -> list[Array]:
    kept: list[Array] = []
    for waves in pairs:
        if all(np.abs(waves - other).max() > 0.04 * np.abs(waves).max() for other in kept):
            kept.append(waves)
    return kept


def _pairs(polar: Array) -> list[Array]:
    """As _candidates, the best of a spectrum by angle and period first; the weaker of the two waves counts."""
    order = np.argsort(-polar, axis=None)[:2000]
    seen: list[tuple[int, int]] = []
    pairs: list[tuple[float, Array]] = []
    for angle, period in zip(*np.unravel_index(order, polar.shape), strict=True):
        if any(min(abs(angle - a), 180 - abs(angle - a)) < 4 and abs(period - p) < 4 for a, p in seen):
            continue
        seen.append((int(angle), int(period)))
        low = max(0, period - 16)
        best = (0.0, 0, 0)
        for skew in range(-18, 19):
            other = (angle + 90 + skew) % 180
            second = low + int(np.argmax(polar[other, low : period + 17]))
            score = min(polar[angle, period], polar[other, second])
            score *= (1 - abs(skew) / 60) * (1 - abs(second - period) / 60)
            best = max(best, (float(score), int(other), second))
        if best[0] > _LEAST_SCORE:
            directions = np.array([[np.cos(_ANGLES[a]), np.sin(_ANGLES[a])] for a in (angle, best[1])])
            pairs.append((best[0], across_first(directions / _PERIODS[[period, best[2]]][:, None])))
        if len(seen) == 12:
            break
    return [waves for _, waves in sorted(pairs, key=lambda pair: -pair[0])]


def _evidence(patches: Patches, waves: Array) -> float:
    """What speaks for a pair of waves [2, 2]: by how much both stand out of the spectrum around them, over the patches.
    Edges and traces are as strong nearby; a grid is a point."""
    shape = patches.ratios.shape[:2]
    over = []
    for family in (0, 1):
        own, height = _peak(patches.ratios, np.broadcast_to(waves[family], (*shape, 2)), 0.25)
        x, y = (np.round(own[..., axis] * PATCH).astype(int)[..., None] for axis in (0, 1))
        around = _read(patches.ratios, (x + _RING[0])[..., None], (y + _RING[1])[..., None])
        over.append(height / (around.mean((2, 3)) + 0.5))
    return float(np.clip(np.minimum(*over) - 2, 0, 10).sum())


def _prominent(polar: Array) -> Array:
    """How far each point of a spectrum by angle and period stands out from other angles and from periods near it: edges
    and traces have every period, a grid has one."""
    half = 16
    padded = np.pad(polar, ((0, 0), (half, half)), mode="edge")
    near = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=1), axis=2)
    prominent: Array = polar / (np.maximum(near, np.median(polar, axis=0)) + 1e-6)
    return prominent


def across_first(waves: Array) -> Array:
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
    lengths = np.linalg.norm(own, axis=3)
    strength[lengths.min(2) < 0.7 / _MOST_PERIOD] = 0  # a slope, not a wave
    crossing = np.abs(own[..., 0, 0] * own[..., 1, 1] - own[..., 0, 1] * own[..., 1, 0])
    strength[crossing < _LEAST_CROSSING * lengths.prod(2)] = 0  # both found the same lines
    phases = _phases(patches.samples, own)
    squares = _unwrap(grid, own, phases, strength)
    held = np.isfinite(squares[..., 0])
    if held.sum() < _LEAST_PATCHES or np.median(strength[held]) < _LEAST_CLEAR:
        return None
    if held.any(0).sum() == 1 or held.any(1).sum() == 1:
        return None  # a line of patches does not say how the page lies beside it
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


def _height(ratios: Array, waves: Array) -> Array:
    """Of spectra [a, b, N, N // 2 + 1] at wave vectors [a, b, 2], bilinear: [a, b]."""
    place = waves * PATCH
    low = np.floor(place).astype(int)
    right, below = np.moveaxis(place - low, -1, 0)
    x, y = (low[..., axis, None, None] for axis in (0, 1))
    height: Array = sum(
        _read(ratios, x + i, y + j)[..., 0, 0] * np.abs(1 - i - right) * np.abs(1 - j - below)
        for i in (0, 1)
        for j in (0, 1)
    )
    return height


def _read(ratios: Array, across: Array, down: Array) -> Array:
    """Each patch's own frequencies [a, b, h, w] of either sign: the spectrum of real samples mirrors itself."""
    mirrored = across < 0
    row, column = np.where(mirrored, -down, down) % PATCH, np.minimum(np.abs(across), PATCH // 2)
    a, b = np.indices(ratios.shape[:2])
    return ratios[a[..., None, None], b[..., None, None], row, column]


def _unwrap(grid: Array, own: Array, phases: Array, strength: Array) -> Array:
    """Whole squares added to phases [a, b, 2] of the patches that agree with each other; NaN elsewhere.

    A patch at the paper's edge may be the clearest of all and agree with none, so several are begun from, and what has
    grown from the best of them counts.
    """
    left, best, most = strength.copy(), np.full(phases.shape, np.nan), 0.0
    for _ in range(_SEEDS):
        seed = np.unravel_index(np.argmax(left), left.shape)
        if left[seed] < _LEAST_CLEAR:
            break
        squares = _grown((int(seed[0]), int(seed[1])), grid, own, phases, strength)
        held = np.isfinite(squares[..., 0])
        left[held] = 0
        evidence = float(np.clip(strength[held], 0, 50).sum())
        if evidence > most:
            best, most = squares, evidence
    return best


def _grown(seed: tuple[int, int], grid: Array, own: Array, phases: Array, strength: Array) -> Array:
    """As _unwrap, from one patch outwards, the surest step first."""
    squares = np.full(phases.shape, np.nan)
    shape = strength.shape
    queue = [(0.0, seed)]
    while queue:
        _, here = heapq.heappop(queue)
        if np.isfinite(squares[here][0]):
            continue
        if here == seed:
            squares[here] = phases[here]
        else:
            expected = _expected(here, grid, own, squares, strength)
            value = phases[here] + np.round(expected - phases[here])
            if np.abs(value - expected).max() > _MOST_JUMP:
                continue
            squares[here] = value
        j, i = here
        for there in ((j, i + 1), (j, i - 1), (j + 1, i), (j - 1, i)):
            inside = 0 <= there[0] < shape[0] and 0 <= there[1] < shape[1]
            if inside and strength[there] >= _LEAST_PEAK and not np.isfinite(squares[there][0]):
                miss = phases[there] - _expected(there, grid, own, squares, strength)
                unsure = float(np.abs(miss - np.round(miss)).max()) + _LEAST_CLEAR / float(strength[there])
                heapq.heappush(queue, (unsure, there))
    return squares


def _expected(here: tuple[int, int], grid: Array, own: Array, squares: Array, strength: Array) -> Array:
    """Squares [2] that the waves of the neighbours that are placed already predict, the clearer ones more."""
    j, i = here
    around = (slice(max(0, j - 1), j + 2), slice(max(0, i - 1), i + 2))
    placed = np.isfinite(squares[around][..., 0])
    away = grid[here] - grid[around][placed]
    waves = (own[around][placed] + own[here]) / 2
    values = squares[around][placed] + np.einsum("nfc,nc->nf", waves, away)
    weight = strength[around][placed] / (away**2).sum(1)
    expected: Array = (values * weight[:, None]).sum(0) / weight.sum()
    return expected


def _phases(samples: Array, waves: Array) -> Array:
    """Cycles [a, b, 2] of waves [a, b, 2, 2] at each patch's centre, -0.5 to 0.5; 0 where a dark line runs through."""
    n = np.arange(PATCH) - PATCH / 2
    turns = np.exp(-2j * np.pi * waves[..., None] * n).astype(np.complex64)
    across = np.swapaxes(turns[:, :, :, 0], 2, 3)
    # Real products: the samples would be copied to be multiplied by complex numbers.
    rows = samples @ across.real + 1j * (samples @ across.imag)
    return np.angle(-np.einsum("abif,abfi->abf", rows, turns[:, :, :, 1])) / (2 * np.pi)
