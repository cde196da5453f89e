"""What the camera and the file do to the picture: blur, lost resolution, sensor noise, JPEG.

Each effect takes and returns RGB uint8 of the same size [H, W, 3] and never touches its input.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

_GRAIN_MIDDLE, _GRAIN_SIGMA = 128, 40


def blur(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Defocus (Gaussian, up to 0.9 pixel of a 544-pixel page) or, one time in three, a slight movement of the hand."""
    unit = max(page.shape[:2]) / 544
    if rng.random() < 2 / 3:
        # below 0.3 pixel a Gaussian is one tap wide and blurs nothing
        return cv2.GaussianBlur(page, (0, 0), 0.3 + rng.uniform(0.1, 0.6) * strength * max(1.0, unit))
    length = 1 + rng.uniform(0.5, 2.0) * strength * max(1.0, unit)
    size = 2 * int(np.ceil(length / 2)) + 1
    path, angle = np.zeros((size, size), np.float32), rng.uniform(0, np.pi)
    half = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    ends = np.rint((size // 2 + np.stack([-half, half])) * 256).astype(int)
    cv2.line(path, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 8)
    path[size // 2, size // 2] = 1.0
    return cv2.filter2D(page, -1, path / path.sum())


def low_resolution(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Shrinks the page, to 400 pixels along its longer side at the least, and enlarges it again."""
    height, width = page.shape[:2]
    least = min(0.85, max(0.2, 400 / max(height, width)))
    scale = 1 - (1 - least) * rng.uniform(0.5, 1) * strength
    small = (max(16, round(width * scale)), max(16, round(height * scale)))
    back = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(2)]
    down = cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR  # above half size both see every pixel, one is quicker
    return cv2.resize(cv2.resize(page, small, interpolation=down), (width, height), interpolation=back)


def noise(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Gaussian noise of 2 to 9 grey levels everywhere, plus up to 7 that fade with the light: none in black."""
    even, bright = rng.uniform(2, 9) * strength / _GRAIN_SIGMA, rng.uniform(0, 7) * strength / _GRAIN_SIGMA
    grains = _grains(page.shape, rng)
    shot = cv2.multiply(page, grains, scale=1 / 255)  # page / 255 * grains, in bytes
    page = cv2.addWeighted(page, 1 - bright * _GRAIN_MIDDLE / 255, shot, bright, 0)
    return cv2.addWeighted(page, 1, _grains(page.shape, rng), even, -even * _GRAIN_MIDDLE)


@cache
def _grain_bank() -> np.ndarray:
    """4 MiB of Gaussian bytes: each page takes a random stretch, as drawing normal numbers costs 5 ms a page."""
    drawn = np.random.default_rng(544384).standard_normal(1 << 22, dtype=np.float32)
    return np.clip(np.rint(_GRAIN_MIDDLE + _GRAIN_SIGMA * drawn), 0, 255).astype(np.uint8)


def _grains(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    bank, size = _grain_bank(), int(np.prod(shape))
    if size > len(bank) // 2:
        bank = np.tile(bank, 1 + 2 * size // len(bank))
    start = int(rng.integers(len(bank) - size))
    return bank[start : start + size].reshape(shape)


def jpeg(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """JPEG at quality 85 down to 25 at strength 1."""
    quality = round(85 - 60 * rng.random() * strength)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(page, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if back is None:
        raise RuntimeError(f"OpenCV could not make a JPEG of {page.shape[1]} x {page.shape[0]}; reinstall opencv")
    return cv2.cvtColor(back, cv2.COLOR_BGR2RGB)
