"""Printed and written paper: letters, forms, tables, music, empty squared paper."""

from __future__ import annotations

import cv2
import numpy as np

from distill.negatives.colours import colour, darker, ruled, sheet


def letter(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A letter, a prescription."""
    image = sheet(rng, width, height)
    step, ink = int(rng.integers(9, 24)), colour(rng, 0, 110)
    for y in range(step, height, step):
        if rng.random() < 0.15:
            continue
        words = "".join(chr(int(c)) for c in rng.integers(97, 123, 70))
        line = " ".join(words[k : k + int(rng.integers(2, 9))] for k in range(0, 70, 7))[: int(rng.integers(8, 70))]
        cv2.putText(
            image, line, (int(rng.integers(8, 40)), y), cv2.FONT_HERSHEY_SIMPLEX, step / 40, ink, 1, cv2.LINE_AA
        )
    return image


def form(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Fields in boxes, some filled in: a table, an order, a laboratory's values."""
    image, ink = sheet(rng, width, height), colour(rng, 0, 120)
    columns = np.sort(rng.integers(5, width - 5, int(rng.integers(2, 7))))
    step = int(rng.integers(12, 40))
    for y in range(step, height, step):
        if rng.random() < 0.85:
            cv2.line(image, (int(columns[0]), y), (int(columns[-1]), y), ink, 1)
        for x in columns[:-1]:
            if rng.random() < 0.6:
                word = "".join(chr(int(c)) for c in rng.integers(48, 123, int(rng.integers(2, 9))))
                cv2.putText(image, word, (int(x) + 3, y - 3), cv2.FONT_HERSHEY_SIMPLEX, step / 50, ink, 1, cv2.LINE_AA)
    for x in columns:
        cv2.line(image, (int(x), step), (int(x), height - height % step), ink, 1)
    return image


def music(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Staves with notes."""
    image, ink = sheet(rng, width, height), colour(rng, 0, 60)
    gap = rng.uniform(3, 8)
    for top in np.arange(20, height - 5 * gap, rng.uniform(9, 14) * gap):
        for k in range(5):
            cv2.line(image, (10, round(top + k * gap)), (width - 10, round(top + k * gap)), ink, 1)
        for x in np.arange(30, width - 20, rng.uniform(2, 6) * gap):
            y = top + rng.integers(-2, 10) * gap / 2
            cv2.ellipse(image, (round(x), round(y)), (round(gap * 0.6), round(gap * 0.4)), -20, 0, 360, ink, -1)
            cv2.line(image, (round(x + gap * 0.6), round(y)), (round(x + gap * 0.6), round(y - 3.5 * gap)), ink, 1)
    return image


def empty(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Ruled or squared paper with nothing measured on it, ECG paper among it."""
    image, tint, step = sheet(rng, width, height, 235), colour(rng, 130, 230), rng.uniform(2, 30)
    ruled(image, step, tint, rng.random() < 0.8)
    if rng.random() < 0.5:
        ruled(image, 5 * step, darker(tint))
    return image


KINDS = (letter, form, music, empty)
