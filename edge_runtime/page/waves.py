"""Pairs of crossing waves that may be a grid: peaks of the spectra of many patches, and what speaks for each pair."""

from __future__ import annotations

import numpy as np

from edge_runtime.page.patches import PATCH, Array, Patches, peak, read

LEAST_PERIOD, MOST_PERIOD = 3.0, 60.0  # pixels a line
_ANGLES = np.deg2rad(np.arange(180.0))
_PERIODS = np.geomspace(LEAST_PERIOD, MOST_PERIOD, 160)
_SKEWS = np.arange(-18, 19)  # degrees by which two families of lines may miss a right angle
_MOST_POINTS, _MOST_PEAKS = 2000, 12  # of a spectrum that are looked at
_LEAST_SCORE = 1.1  # of crossing waves, over the spectrum's median
# Bins around a peak, outside what the window smears it over.
_RING = np.round(4.5 * np.array([np.cos(np.arange(24) * np.pi / 12), np.sin(np.arange(24) * np.pi / 12)])).astype(int)


def candidates(patches: Patches) -> list[Array]:
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
    angles, periods = np.unravel_index(np.argsort(-polar, axis=None)[:_MOST_POINTS], polar.shape)
    left = np.ones(len(angles), bool)
    pairs: list[tuple[float, Array]] = []
    for _ in range(_MOST_PEAKS):
        if not left.any():
            break
        first = int(np.argmax(left))
        angle, period = int(angles[first]), int(periods[first])
        turned = np.abs(angles - angle)
        left &= (np.minimum(turned, 180 - turned) >= 4) | (np.abs(periods - period) >= 4)
        score, other, second = _across(polar, angle, period)
        if score > _LEAST_SCORE:
            directions = np.array([[np.cos(_ANGLES[a]), np.sin(_ANGLES[a])] for a in (angle, other)])
            pairs.append((score, across_first(directions / _PERIODS[[period, second]][:, None])))
    return [waves for _, waves in sorted(pairs, key=lambda pair: -pair[0])]


def _across(polar: Array, angle: int, period: int) -> tuple[float, int, int]:
    """The best second wave of a pair: its score, and the places of its angle and period."""
    low = max(0, period - 16)
    angles = (angle + 90 + _SKEWS) % 180
    seconds = low + polar[angles, low : period + 17].argmax(1)
    scores = np.minimum(polar[angle, period], polar[angles, seconds])
    scores = scores * ((1 - np.abs(_SKEWS) / 60) * (1 - np.abs(seconds - period) / 60))
    return max((0.0, 0, 0), *zip(scores.tolist(), angles.tolist(), seconds.tolist(), strict=True))


def evidence_of(patches: Patches, waves: Array) -> float:
    """What speaks for a pair of waves [2, 2]: by how much both stand out of the spectrum around them, over the patches.
    Edges and traces are as strong nearby; a grid is a point."""
    shape = patches.ratios.shape[:2]
    over = []
    for family in (0, 1):
        own, height = peak(patches.ratios, np.broadcast_to(waves[family], (*shape, 2)), 0.25)
        x, y = (np.round(own[..., axis] * PATCH).astype(int)[..., None] for axis in (0, 1))
        around = read(patches.ratios, (x + _RING[0])[..., None], (y + _RING[1])[..., None])
        over.append(height / (around.mean((2, 3)) + 0.5))
    return float(np.clip(np.minimum(*over) - 2, 0, 10).sum())


def _prominent(polar: Array) -> Array:
    """How far each point of a spectrum by angle and period stands out from other angles and from periods near it: edges
    and traces have every period, a grid has one."""
    half = 16
    padded = np.pad(polar, ((0, 0), (half, half)), mode="edge")
    # Sorted for its median: numpy sorts with vector instructions, and selects without.
    near = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=1))[..., half]
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
