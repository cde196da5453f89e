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

import numpy as np

from edge_runtime.page.patches import Array, Patches, height_at, peak, phases_of
from edge_runtime.page.waves import LEAST_PERIOD, MOST_PERIOD, candidates, evidence_of

WORK = 1280  # pixels of the longer side that the search looks at
_LEAST_PEAK = 4.0  # of a patch's peak over its spectrum's median
_LEAST_CLEAR = 10.0  # the median of those peaks: noise gives 6, the faintest of real pages 17
_LEAST_PATCHES = 6
_SEEDS = 6
_NEARLY = 0.6  # of the evidence for the best pair of waves
_LEAST_CROSSING = 0.7  # sine of the angle between both families of lines
_MOST_JUMP = 0.3  # squares between a phase and what a neighbour's waves predict


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
        if not LEAST_PERIOD * 0.8 < self.period / factor < MOST_PERIOD:
            return 0.0
        return self.clear_in(patches, self.waves * factor)

    def clear_in(self, patches: Patches, waves: Array) -> float:
        """The median height of waves [n, 2, 2] in its own patches, the lower of the two, just where they would be: the
        next whole number of lines is a bin away."""
        rows, columns = np.searchsorted(patches.ys, self.at[:, 1]), np.searchsorted(patches.xs, self.at[:, 0])
        ratios = patches.ratios[rows, columns][None]
        return float(np.median(np.minimum(height_at(ratios, waves[None, :, 0]), height_at(ratios, waves[None, :, 1]))))


def find(patches: Patches) -> Lattice | None:
    """A pair of crossing waves that stands out in most patches, followed from one to the next; None where none does.

    Sums of waves of a grid of thin lines are as clear as these: of the clear pairs the coarsest is the grid.
    """
    pairs = candidates(patches)
    if not pairs:
        return None
    evidence = [evidence_of(patches, waves) for waves in pairs]
    clear = [waves for waves, found in zip(pairs, evidence, strict=True) if found >= _NEARLY * max(evidence)]
    return follow(patches, min(clear, key=lambda waves: float(np.linalg.norm(waves))))


def follow(patches: Patches, waves: Array) -> Lattice | None:
    """Follow two waves [2, 2] over all patches; None where too few hold them."""
    ratios = patches.ratios
    grid = np.stack(np.meshgrid(patches.xs, patches.ys), -1)
    shape = grid.shape[:2]
    own, strength = _both(ratios, np.broadcast_to(waves, (*shape, 2, 2)), 0.25)
    for reach in (0.15, 0.1):
        own, strength = _both(ratios, _smooth(grid, own, strength), reach)
    lengths = np.linalg.norm(own, axis=3)
    strength[lengths.min(2) < 0.7 / MOST_PERIOD] = 0  # a slope, not a wave
    crossing = np.abs(own[..., 0, 0] * own[..., 1, 1] - own[..., 0, 1] * own[..., 1, 0])
    strength[crossing < _LEAST_CROSSING * lengths.prod(2)] = 0  # both found the same lines
    phases = phases_of(patches.samples, own)
    squares = _unwrap(grid, own, phases, strength)
    held = np.isfinite(squares[..., 0])
    if held.sum() < _LEAST_PATCHES or np.median(strength[held]) < _LEAST_CLEAR:
        return None
    if held.any(0).sum() == 1 or held.any(1).sum() == 1:
        return None  # a line of patches does not say how the page lies beside it
    return Lattice(grid[held], own[held], squares[held], strength[held], float(held.mean()))


def _both(ratios: Array, waves: Array, reach: float) -> tuple[Array, Array]:
    """The peaks of both families near waves [a, b, 2, 2]: wave vectors, and the lower of the two heights [a, b]."""
    first, second = (peak(ratios, waves[:, :, family], reach) for family in (0, 1))
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
