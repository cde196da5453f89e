"""Makes a clean page look photographed or scanned, because that is how paper ECGs reach a phone.

Effects run in the order of physics, whatever the order they are asked in: what happened to the paper, how it lies
before the camera, the light on it, the lens and sensor, the file. A page without its grid is no photo effect: the
renderer leaves the grid out when it draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pulse.ecg.photo.camera import blur, jpeg, low_resolution, noise
from pulse.ecg.photo.geometry import lens, perspective, rotation
from pulse.ecg.photo.light import photocopy, shadows, temperature
from pulse.ecg.photo.sheet import creases, marks

Effect = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]

EFFECTS: dict[str, Effect] = {
    "photocopy": photocopy,
    "marks": marks,
    "creases": creases,
    "rotation": rotation,
    "perspective": perspective,
    "shadows": shadows,
    "temperature": temperature,
    "lens": lens,
    "blur": blur,
    "low_resolution": low_resolution,
    "noise": noise,
    "jpeg": jpeg,
}
"""Name -> effect(page uint8 [H, W, 3], generator, strength in (0, 1]) -> page, in the order they are applied."""

_CHANCE = {
    "photocopy": 0.08, "marks": 0.2, "creases": 0.22, "rotation": 0.35, "perspective": 0.3, "shadows": 0.4,
    "temperature": 0.5, "lens": 0.08, "blur": 0.3, "low_resolution": 0.2, "noise": 0.35, "jpeg": 0.4,
}  # fmt: skip
MIN_SIDE = 64


def photograph(
    page: np.ndarray,
    seed: int | np.random.Generator,
    effects: Sequence[str] | None = None,
    strength: float = 1.0,
) -> np.ndarray:
    """A new page, uint8 RGB [H, W, 3] of the same size, as a phone or a scanner would have seen `page`.

    seed: the same int gives the same bytes; a Generator is advanced.
    effects: names from `EFFECTS`, each applied once at `strength`; None draws a random subset, each at a random part
    of `strength`, with a rotation or a perspective but never both.
    strength: 0 (an exact copy) to 1 (the worst that a reader still manages).

    Raises ValueError for another dtype or shape, a side below 64, an unknown effect or a strength outside 0..1.
    """
    if not isinstance(page, np.ndarray) or page.dtype != np.uint8 or page.ndim != 3 or page.shape[2] != 3:
        got = f"{page.dtype} {list(page.shape)}" if isinstance(page, np.ndarray) else type(page).__name__
        raise ValueError(f"photograph needs an RGB page as uint8 [H, W, 3], got {got}; convert it first")
    if min(page.shape[:2]) < MIN_SIDE:
        raise ValueError(f"page of {page.shape[1]} x {page.shape[0]} is too small; give at least {MIN_SIDE} a side")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; give a number from 0 to 1")
    if isinstance(effects, str):
        raise ValueError(f"effects is the text {effects!r}; give a list such as [{effects!r}]")
    unknown = sorted(set(effects or ()) - set(EFFECTS))
    if unknown:
        raise ValueError(f"unknown effect {unknown[0]!r}; choose from {', '.join(EFFECTS)}")
    rng = np.random.default_rng(seed)
    if effects is None:
        chosen = {name: strength * rng.uniform(0.3, 1) for name in _drawn(rng)}
    else:
        chosen = dict.fromkeys(effects, strength)
    shot = np.ascontiguousarray(page)
    for name, effect in EFFECTS.items():
        if name in chosen and strength > 0:
            shot = effect(shot, rng, chosen[name])
    return page.copy() if np.may_share_memory(shot, page) else shot


def _drawn(rng: np.random.Generator) -> list[str]:
    """A random subset of the effects; one way of lying before the camera at most."""
    names = [name for name, chance in _CHANCE.items() if rng.random() < chance]
    if "rotation" in names and "perspective" in names:
        names.remove("rotation" if rng.random() < 0.5 else "perspective")
    return names
