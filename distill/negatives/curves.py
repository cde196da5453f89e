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


def panels(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Plots in rows and columns, each between axes of its own: lines that tremble, areas, dots."""
    image = sheet(rng, width, height, 245)
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    kind, tints = int(rng.integers(4)), [colour(rng, 0, 200) for _ in range(3)]
    for row in range(rows):
        for column in range(columns):
            left, right = ((column + share) * width / columns for share in (0.1, 0.96))
            top, base = ((row + share) * height / rows for share in (0.14, 0.86))
            for y in np.linspace(top, base, int(rng.integers(2, 16))):
                cv2.line(image, (round(left), round(y)), (round(right), round(y)), (215, 215, 215), 1)
            _plot(image, rng, (left, top, right, base), kind, tints)
            cv2.rectangle(image, (round(left), round(top)), (round(right), round(base)), (70, 70, 70), 1)
            for x in np.linspace(left, right, int(rng.integers(3, 8))):
                where = (round(x), round(base) + 10)
                cv2.putText(image, f"{x:.0f}", where, cv2.FONT_HERSHEY_SIMPLEX, 0.28, (70, 70, 70), 1, cv2.LINE_AA)
    return image


def _plot(
    image: np.ndarray,
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    kind: int,
    tints: list[tuple[int, int, int]],
) -> None:
    """Inside a box (left, top, right, base): 0 lines that fall or wander, 1 sines, 2 dots, 3 areas on each other."""
    left, top, right, base = box
    x = np.arange(left, right, 1.0)
    below: np.ndarray = np.zeros(len(x))
    for tint in tints[: int(rng.integers(1, 4))]:
        if kind == 1:
            y = 0.5 + 0.4 * np.sin(2 * np.pi * x / rng.uniform(30, 300) + rng.uniform(0, 6))
        elif kind == 0 and rng.random() < 0.5:
            y = np.linspace(0.9, 0.3, len(x)) - np.minimum(rng.exponential(0.08, len(x)), 0.3)
        else:
            y = np.cumsum(rng.normal(0, 1, len(x)))
            y = 0.05 + 0.9 * (y - y.min()) / max(1e-3, float(np.ptp(y)))
        if kind == 3:
            y = below + y / 3
            places = np.stack([np.append(x, x[::-1]), base - np.append(y, below[::-1]) * (base - top)], -1)
            cv2.fillPoly(image, [np.round(places).astype(np.int32)], tint)
            below = y
        elif kind == 2:
            for place, level in zip(x[::6], rng.beta(3, 3, len(x[::6])), strict=True):
                cv2.circle(image, (round(place), round(base - level * (base - top))), 2, tint, -1, cv2.LINE_AA)
        else:
            curve(image, x, base - y * (base - top), tint, int(rng.integers(1, 4)))


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


def day(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A drum's day: many rows, a colour each in turn, that are still but for a few onsets."""
    image, rows = sheet(rng, width, height), int(rng.integers(6, 40))
    tints, x = [colour(rng, 0, 200) for _ in range(int(rng.integers(1, 5)))], np.arange(0.08 * width, width, 0.7)
    for row in range(rows):
        since = (x - rng.uniform(0, 6 * width)) / rng.uniform(20, 150)
        size = rng.uniform(0.02, 0.3) + np.where(since > 0, 3 * np.exp(-np.clip(since, 0, 50)), 0)
        wave = rng.normal(0, 0.3, len(x)) * size * height / rows
        curve(image, x, (row + 0.5) * height / rows + wave, tints[row % len(tints)])
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


KINDS = (chart, panels, eeg, seismogram, day, cardiotocogram, waves, graph)
