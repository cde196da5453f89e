"""What a camera meets besides paper: rooms, objects, faces, screens, X-rays."""

from __future__ import annotations

import cv2
import numpy as np

from distill.negatives.colours import colour


def cloud(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Smooth fields of several scales: skies, walls, skin, blurred rooms."""
    image = np.zeros((height, width, 3), np.float32)
    for cells in (2, 5, 12, 40)[: int(rng.integers(1, 5))]:
        channels = 1 if rng.random() < 0.4 else 3
        field = rng.normal(0, 255 / (1 + cells) ** 0.4, (cells, cells, channels)).astype(np.float32)
        image += cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return np.clip(image + rng.uniform(40, 220), 0, 255).astype(np.uint8)


def scene(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Shapes on a background: objects, faces without detail."""
    image = cloud(rng, width, height)
    for _ in range(int(rng.integers(2, 14))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        size = int(rng.integers(10, 160))
        if rng.random() < 0.5:
            axes = (size, int(rng.integers(5, 120)))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour(rng), -1, cv2.LINE_AA)
        else:
            points = np.asarray(centre) + rng.integers(-size, size + 1, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(image, [points.astype(np.int32)], colour(rng), cv2.LINE_AA)
    return image


def face(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """An oval with hair, eyes and a mouth before a wall."""
    image = cloud(rng, width, height)
    x, y, size = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.4, 0.6), height * rng.uniform(0.15, 0.4)

    def oval(dx: float, dy: float, a: float, b: float, tint: tuple[int, int, int]) -> None:
        middle = (round(x + dx * size), round(y + dy * size))
        cv2.ellipse(image, middle, (round(a * size), round(b * size)), 0, 0, 360, tint, -1, cv2.LINE_AA)

    skin = tuple(int(v) for v in np.array((230, 190, 165)) * rng.uniform(0.35, 1.05))
    oval(0, -0.25, 0.85, 1.05, colour(rng, 10, 140))
    oval(0, 0, 0.75, 1.0, skin)  # type: ignore[arg-type]
    for side in (-0.3, 0.3):
        oval(side, -0.15, 0.14, 0.07, (245, 245, 245))
        oval(side, -0.15, 0.06, 0.06, colour(rng, 10, 90))
    oval(0, 0.5, 0.25, 0.07, (170, 80, 80))
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3))


def screen(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Windows, bars and lines of text on a display."""
    image = np.full((height, width, 3), colour(rng), np.uint8)
    for _ in range(int(rng.integers(2, 7))):
        left, top = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
        right, bottom = left + int(rng.integers(60, width)), top + int(rng.integers(50, height))
        cv2.rectangle(image, (left, top), (right, bottom), colour(rng, 180), -1)
        cv2.rectangle(image, (left, top), (right, top + 12), colour(rng), -1)
        for y in range(top + 24, min(bottom, height), int(rng.integers(8, 20))):
            cv2.line(
                image, (left + 8, y), (left + 8 + int(rng.integers(10, max(11, right - left))), y), colour(rng, 0, 160)
            )
    return image


def x_ray(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Bright bones and soft shades on black."""
    image = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(6, 24))):
        layer = np.zeros_like(image)
        centre = (int(rng.normal(width / 2, width / 6)), int(rng.normal(height / 2, height / 6)))
        axes = (int(rng.integers(5, width // 3)), int(rng.integers(4, height // 3)))
        cv2.ellipse(layer, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1 if rng.random() < 0.6 else 6)
        image += rng.uniform(10, 60) * cv2.GaussianBlur(layer, (0, 0), rng.uniform(1, 12))
    grey = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


KINDS = (cloud, scene, face, screen, x_ray)
