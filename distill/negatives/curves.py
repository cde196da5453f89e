"""What is most like an ECG and is none: charts, EEG, seismograms, cardiotocograms, breath and pulse waves, curves on
graph paper."""

from __future__ import annotations

import cv2
import numpy as np

from distill.negatives.colours import colour, curve, darker, ruled, sheet


def chart(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Bars or a few lines between axes."""
    image = sheet(rng, width, height, 245)
    left, base, n = 50, height - 40, int(rng.integers(5, 40))
    cv2.line(image, (left, 15), (left, base), (60, 60, 60), 1)
    cv2.line(image, (left, base), (width - 15, base), (60, 60, 60), 1)
    xs = np.linspace(left + 5, width - 20, n)
    for _ in range(int(rng.integers(1, 4))):
        ys = base - np.abs(np.cumsum(rng.normal(0, 1, n)))
        ys = base - (base - ys) / max(1e-3, float((base - ys).max())) * rng.uniform(0.4, 0.9) * (base - 20)
        tint = colour(rng, 0, 200)
        if rng.random() < 0.5:
            for x, y in zip(xs, ys, strict=True):
                cv2.rectangle(image, (int(x), int(y)), (int(x + (width - 80) / n * 0.7), base), tint, -1)
        else:
            curve(image, xs, ys, tint, int(rng.integers(1, 4)))
    return image


def eeg(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Many rows of waves of 1 to 20 a second, on plain paper or lines for the seconds."""
    image = sheet(rng, width, height)
    if rng.random() < 0.6:
        for x in np.arange(0, width, rng.uniform(20, 60)):
            cv2.line(image, (round(x), 0), (round(x), height), colour(rng, 170, 230), 1)
    rows, ink = int(rng.integers(8, 24)), colour(rng, 0, 90)
    x = np.arange(30.0, width, 1.0)
    for row in range(rows):
        wave = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * x / rng.uniform(4, 60) + rng.uniform(0, 6)) for _ in range(4))
        wave = wave + rng.normal(0, 0.4, len(x))
        wave *= 1 + 0.6 * np.sin(2 * np.pi * x / rng.uniform(80, 400) + rng.uniform(0, 6))
        curve(image, x, (row + 0.5) * height / rows + wave * height / rows * rng.uniform(0.1, 0.5), ink)
        cv2.putText(image, f"F{row}", (2, int((row + 0.6) * height / rows)), cv2.FONT_HERSHEY_SIMPLEX, 0.3, ink, 1)
    return image


def seismogram(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """One to four rows that tremble, with an onset that decays."""
    image, ink = sheet(rng, width, height), colour(rng, 0, 90)
    rows, x = int(rng.integers(1, 5)), np.arange(0.0, width, 0.7)
    if rng.random() < 0.3:
        ruled(image, rng.uniform(10, 40), colour(rng, 190, 235))
    for row in range(rows):
        size: np.ndarray = np.full(len(x), 0.04)
        for _ in range(int(rng.integers(1, 4))):
            since = (x - rng.uniform(0, width)) / rng.uniform(20, 150)
            size += np.where(since > 0, rng.uniform(0.2, 0.9) * np.exp(-np.clip(since, 0, 50)), 0)
        wave = rng.normal(0, 1, len(x)) * size * height / rows / 3
        curve(image, x, (row + 0.5) * height / rows + wave, ink)
    return image


def cardiotocogram(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Two slow curves on squared paper."""
    image, tint = sheet(rng, width, height, 240), colour(rng, 160, 235)
    step = rng.uniform(6, 16)
    ruled(image, step, tint)
    x, ink = np.arange(0.0, width, 2.0), colour(rng, 0, 90)
    for middle, size in ((0.3, 3.0), (0.75, 5.0)):
        slow = np.cumsum(rng.normal(0, 1, len(x)))
        slow -= np.linspace(slow[0], slow[-1], len(x))
        wave = slow * size / max(1.0, float(np.abs(slow).max())) * 8 + rng.normal(0, size / 3, len(x))
        curve(image, x, middle * height + wave, ink)
    cv2.rectangle(image, (0, round(0.5 * height)), (width, round(0.56 * height)), (255, 255, 255), -1)
    return image


def waves(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Breath, pressure, light through a finger: round waves, no spike among them, on paper or on a dark monitor."""
    dark = rng.random() < 0.5
    image = np.full((height, width, 3), colour(rng, 0, 40), np.uint8) if dark else sheet(rng, width, height)
    if rng.random() < 0.5:
        ruled(image, rng.uniform(8, 40), colour(rng, 40, 90) if dark else colour(rng, 180, 235))
    rows, x = int(rng.integers(1, 6)), np.arange(0.0, width)
    for row in range(rows):
        phase = (x / rng.uniform(30, 200) + rng.uniform(0, 1)) % 1
        wave = phase ** rng.uniform(0.3, 1) * (1 - phase) ** rng.uniform(0.8, 3)
        wave = (wave / wave.max() - 0.4) * height / rows * rng.uniform(0.3, 0.8)
        ink = colour(rng, 120, 256) if dark else colour(rng, 0, 120)
        curve(image, x, (row + 0.6) * height / rows - wave, ink, int(rng.integers(1, 3)))
    return image


def graph(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Graph paper, with or without a smooth curve or dots on it."""
    image, tint = sheet(rng, width, height, 240), colour(rng, 130, 235)
    step = rng.uniform(4, 14)
    ruled(image, step, tint)
    ruled(image, 5 * step, darker(tint))
    x = np.linspace(0, width, 80)
    for _ in range(int(rng.integers(0, 4))):
        y = height * (0.5 + 0.4 * np.sin(x / width * rng.uniform(1, 9) + rng.uniform(0, 6)) * rng.uniform(0.2, 1))
        if rng.random() < 0.6:
            curve(image, x, y, colour(rng, 0, 150), int(rng.integers(1, 3)))
        else:
            for k in range(0, 80, 4):
                cv2.circle(
                    image, (round(x[k]), round(y[k] + rng.normal(0, 8))), 2, colour(rng, 0, 150), -1, cv2.LINE_AA
                )
    return image


KINDS = (chart, eeg, seismogram, cardiotocogram, waves, graph)
