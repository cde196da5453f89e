"""Pictures that are no ECG, drawn so that the student learns to say so: texts, charts, scenes, empty ECG paper."""

from __future__ import annotations

import cv2
import numpy as np

from pulse.ecg.photo.photograph import photograph


def not_an_ecg(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """uint8 RGB [height, width, 3]; every other one is photographed, as the ECG pages are."""
    kinds = (_cloud, _text, _chart, _scene, _paper)
    image = kinds[int(rng.integers(len(kinds)))](rng, width, height)
    return photograph(image, rng) if rng.random() < 0.5 else image


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return r, g, b


def _cloud(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Smooth fields of several scales: skies, walls, skin, blurred rooms."""
    image = np.zeros((height, width, 3), np.float32)
    for cells in (2, 5, 12, 40)[: int(rng.integers(1, 5))]:
        channels = 1 if rng.random() < 0.4 else 3
        field = rng.normal(0, 255 / (1 + cells) ** 0.4, (cells, cells, channels)).astype(np.float32)
        image += cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return np.clip(image + rng.uniform(40, 220), 0, 255).astype(np.uint8)


def _text(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A letter, a form, a prescription."""
    image = np.full((height, width, 3), rng.integers(225, 256), np.uint8)
    step, ink = int(rng.integers(9, 24)), _colour(rng, 0, 110)
    for y in range(step, height, step):
        if rng.random() < 0.15:
            continue
        words = "".join(chr(int(c)) for c in rng.integers(97, 123, 70))
        line = " ".join(words[k : k + int(rng.integers(2, 9))] for k in range(0, 70, 7))[: int(rng.integers(8, 70))]
        cv2.putText(
            image, line, (int(rng.integers(8, 40)), y), cv2.FONT_HERSHEY_SIMPLEX, step / 40, ink, 1, cv2.LINE_AA
        )
    if rng.random() < 0.4:
        for x in np.sort(rng.integers(0, width, 4)):
            cv2.line(image, (int(x), 0), (int(x), height), ink, 1)
    return image


def _chart(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Bars or a few lines between axes: the picture most like a trace that is none."""
    image = np.full((height, width, 3), 255, np.uint8)
    left, base, n = 50, height - 40, int(rng.integers(5, 40))
    cv2.line(image, (left, 15), (left, base), (60, 60, 60), 1)
    cv2.line(image, (left, base), (width - 15, base), (60, 60, 60), 1)
    xs = np.linspace(left + 5, width - 20, n)
    for _ in range(int(rng.integers(1, 4))):
        ys = base - np.abs(np.cumsum(rng.normal(0, 1, n)))
        ys = base - (base - ys) / max(1e-3, float((base - ys).max())) * rng.uniform(0.4, 0.9) * (base - 20)
        colour = _colour(rng, 0, 200)
        if rng.random() < 0.5:
            for x, y in zip(xs, ys, strict=True):
                cv2.rectangle(image, (int(x), int(y)), (int(x + (width - 80) / n * 0.7), base), colour, -1)
        else:
            cv2.polylines(
                image, [np.stack([xs, ys], 1).astype(np.int32)], False, colour, int(rng.integers(1, 4)), cv2.LINE_AA
            )
    return image


def _scene(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Shapes on a background: objects, screens, faces without detail."""
    image = _cloud(rng, width, height)
    for _ in range(int(rng.integers(2, 14))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        size = int(rng.integers(10, 160))
        if rng.random() < 0.5:
            axes = (size, int(rng.integers(5, 120)))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, _colour(rng), -1, cv2.LINE_AA)
        else:
            points = np.asarray(centre) + rng.integers(-size, size + 1, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(image, [points.astype(np.int32)], _colour(rng), cv2.LINE_AA)
    return image


def _paper(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Ruled or squared paper with nothing measured on it."""
    image = np.full((height, width, 3), 250, np.uint8)
    step, colour = int(rng.integers(8, 30)), _colour(rng, 130, 230)
    for y in range(0, height, step):
        cv2.line(image, (0, y), (width, y), colour, 1)
    if rng.random() < 0.7:
        for x in range(0, width, step):
            cv2.line(image, (x, 0), (x, height), colour, 1)
    return image
