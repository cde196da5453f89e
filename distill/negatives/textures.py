"""Surfaces: what fills a picture from edge to edge, at every scale, as most photographs do."""

from __future__ import annotations

import cv2
import numpy as np

from distill.negatives.colours import colour


def grain(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise whose power falls with a power of its frequency, as that of photographs does (Field 1987): stone, cloth."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    fall = np.maximum(np.hypot(down * rng.uniform(0.3, 3), across), 1 / max(width, height)) ** -rng.uniform(0.3, 2)
    shared = rng.normal(0, 1, (2, height, width // 2 + 1))
    image = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        own = shared + rng.uniform(0, 0.8) * rng.normal(0, 1, shared.shape)
        field = np.fft.irfft2((own[0] + 1j * own[1]) * fall, (height, width))
        image[..., channel] = field / field.std()
    return np.clip(image * rng.uniform(10, 60) + np.array(colour(rng, 40, 220)), 0, 255).astype(np.uint8)


def leaves(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Discs that hide each other, small ones far more often (the dead leaves model, Lee, Mumford and Huang 2001)."""
    image = np.full((height, width, 3), colour(rng), np.uint8)
    tints = [colour(rng) for _ in range(int(rng.integers(2, 12)))]
    sizes = np.minimum(3 / rng.random(int(rng.integers(150, 900))) ** 0.5, 0.3 * width)
    for size in sizes:
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        tint = np.clip(np.array(tints[int(rng.integers(len(tints)))]) + rng.normal(0, 15, 3), 0, 255)
        axes = (max(1, round(size)), max(1, round(size * rng.uniform(0.4, 1))))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, tint.tolist(), -1, cv2.LINE_AA)
    return image


def strokes(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Grass, hair, fur, scratches: short lines that lean one way."""
    image = np.full((height, width, 3), colour(rng), np.uint8)
    lean, spread, low = rng.uniform(0, np.pi), rng.uniform(0.05, 1.2), int(rng.integers(0, 120))
    count, length = int(rng.integers(300, 2000)), rng.uniform(8, 60)
    starts = rng.random((count, 2)) * (width, height)
    angles = rng.normal(lean, spread, count)
    ends = starts + length * rng.uniform(0.3, 1, (count, 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
    thick = int(rng.integers(1, 4))
    for one, other in zip(np.rint(starts).astype(int).tolist(), np.rint(ends).astype(int).tolist(), strict=True):
        cv2.line(image, one, other, colour(rng, low, low + 120), thick, cv2.LINE_AA)
    return image


def tiles(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Bricks, tiles, windows, a fence: the same thing again and again, seen from the side."""
    step_x, step_y, gap = rng.uniform(14, 120), rng.uniform(10, 90), rng.uniform(1, 8)
    base, joint = np.array(colour(rng, 30, 230)), colour(rng)
    image = np.full((height, width, 3), joint, np.uint8)
    shift = rng.random() < 0.5
    for row, y in enumerate(np.arange(0, height, step_y)):
        for x in np.arange(-step_x if shift else 0, width, step_x):
            left = x + (row % 2) * step_x / 2 * shift
            tint = np.clip(base + rng.normal(0, 18, 3), 0, 255).tolist()
            corner = (round(left + step_x - gap), round(y + step_y - gap))
            cv2.rectangle(image, (round(left), round(y)), corner, tint, -1)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = corners + rng.normal(0, 0.12, (4, 2)).astype(np.float32) * (width, height)
    plane = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return cv2.warpPerspective(image, plane, (width, height), borderMode=cv2.BORDER_REFLECT)


def things(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Coins, bubbles, cells, pills: round things side by side, shaded, on one background."""
    image = np.full((height, width, 3), colour(rng), np.float32)
    size, down, across = rng.uniform(8, 70), *np.mgrid[0:height, 0:width].astype(np.float32)
    for y in np.arange(size, height, 2.3 * size):
        for x in np.arange(size, width, 2.3 * size):
            if rng.random() < 0.25:
                continue
            at = np.array([x, y]) + rng.normal(0, 0.15 * size, 2)
            top, left = (max(0, round(v - size)) for v in at[::-1])
            part = (slice(top, round(at[1] + size)), slice(left, round(at[0] + size)))
            away = np.hypot(across[part] - at[0], down[part] - at[1]) / size
            shade = 1 - 0.5 * away + 0.4 * (at[0] - across[part]) / size
            image[part] = np.where((away < 0.9)[..., None], shade[..., None] * colour(rng, 60, 250), image[part])
    image += rng.normal(0, rng.uniform(0, 8), image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


KINDS = (grain, leaves, strokes, tiles, things)
