"""How the sheet is lit and what colour it comes out: shadows, gradients, glare, white balance, photocopying.

Light is smooth, so every field is made at 48 x 64 and enlarged: full-resolution Gaussian fields would cost more than
all the rest of the photograph. Each effect takes and returns RGB uint8 [H, W, 3] and never touches its input.
"""

from __future__ import annotations

import cv2
import numpy as np

from pulse.ecg.photo.fields import GAIN_STEPS, enlarged, lit

FIELD = (48, 64)


def shadows(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """A gradient across the page and one or two of: hand, phone, vignette, glare. Shadows are a little blue."""
    rows, cols = np.mgrid[-1:1:48j, -1:1:64j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    dark = rng.uniform(0, 0.22) * (0.5 + 0.5 * (np.cos(angle) * cols + np.sin(angle) * rows) / 1.4)
    kinds = rng.choice(("cast", "vignette", "glare"), size=int(rng.integers(1, 3)), replace=False, p=(0.55, 0.2, 0.25))
    if "vignette" in kinds:
        dark += rng.uniform(0.1, 0.3) * (rows**2 + cols**2) / 2
    if "cast" in kinds:
        dark = 1 - (1 - dark) * (1 - rng.uniform(0.2, 0.5) * _cast(rng))
    blue = np.array([1.0, 0.98, 0.94], np.float32) if rng.random() < 0.7 else np.ones(3, np.float32)
    gain = 1 - strength * dark[..., None] * blue
    if "glare" not in kinds:
        return lit(page, enlarged(gain, page, GAIN_STEPS))
    centre, spread = rng.uniform(-0.9, 0.9, 2), rng.uniform(0.15, 0.5, 2)
    spot = np.exp(-(((cols - centre[0]) / spread[0]) ** 2) - ((rows - centre[1]) / spread[1]) ** 2)
    spot *= strength * rng.uniform(0.25, 0.6)  # glare fades the ink, it never erases it
    page = lit(page, enlarged(gain * (1 - spot[..., None]), page, GAIN_STEPS))
    return cv2.add(page, cv2.cvtColor(enlarged(spot, page, 255), cv2.COLOR_GRAY2RGB))


def _cast(rng: np.random.Generator) -> np.ndarray:
    """The shadow of a phone or of a hand that reaches in from an edge: float32 [48, 64], 0 lit to 1 dark."""
    mask = np.zeros(FIELD, np.float32)
    middle, angle = rng.uniform((0, 0), (64, 48)), rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        half = rng.uniform((8, 14), (16, 28))
        box = cv2.boxPoints((tuple(middle), tuple(2 * half), float(np.degrees(angle))))
        cv2.fillConvexPoly(mask, np.rint(box).astype(np.int32), 1.0, cv2.LINE_AA)
    else:
        away = np.array([np.cos(angle), np.sin(angle)])
        palm = middle + 12 * away
        cv2.line(mask, np.rint(palm).astype(int), np.rint(palm + 90 * away).astype(int), 1.0, 13)
        cv2.circle(mask, np.rint(palm).astype(int), int(rng.integers(8, 12)), 1.0, -1)
        for spread in rng.uniform(-0.7, 0.7, int(rng.integers(1, 5))):
            finger = palm - 20 * np.array([np.cos(angle + spread), np.sin(angle + spread)])
            cv2.line(mask, np.rint(palm).astype(int), np.rint(finger).astype(int), 1.0, 4)
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 5))


def temperature(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """White balance, yellowed or tinted paper, contrast, brightness and gamma, as one table for each channel."""
    levels = np.linspace(0, 1, 256)[:, None]
    warm = rng.uniform(-0.16, 0.22) * strength
    green = rng.normal(0, 0.02) * strength
    gains = np.array([1 + warm / 2, 1 + green, 1 - warm])
    if rng.random() < 0.3:
        gains *= 1 - strength * rng.uniform(0, 1) * np.array([0.02, 0.06, 0.22])  # old paper
    ink = rng.uniform(0, 0.25) * strength  # faded print: black comes out grey
    white = 1 - rng.uniform(0, 0.25) * strength  # underexposed
    curve = levels ** np.exp(rng.uniform(-0.35, 0.35) * strength)
    table = np.clip((ink + (white - ink) * curve) * gains / max(1.0, gains.max()) * 255, 0, 255)
    return cv2.LUT(page, np.rint(table).astype(np.uint8)[None])


def photocopy(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Grey, with the contrast of a copier or a fax: a pale grid may vanish, the trace darkens."""
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    steep, bleach = 1 + rng.uniform(0.2, 1.5) * strength, rng.uniform(0, 0.3) * strength
    curve = np.clip(1 + bleach - (1 - np.linspace(0, 1, 256)) * steep, 0, 1)
    curve = (1 - 0.06 * rng.random()) * curve + 0.1 * rng.random() * (1 - curve)
    return cv2.cvtColor(cv2.LUT(grey, np.rint(curve * 255).astype(np.uint8)), cv2.COLOR_GRAY2RGB)
