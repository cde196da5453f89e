"""Invented words of a page's head and foot: a model must not learn that they tell the diagnosis, so they tell none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pulse.ecg.paper.family import Setting
from pulse.ecg.paper.text import Text

_CAPITALS = "ABCDEFGHIJKLMNOPRSTUVW"
_STATED = (
    "Sinus rhythm", "Normal ECG", "Abnormal ECG", "Borderline ECG", "Otherwise normal ECG", "Unconfirmed report",
    "Nonspecific T wave changes", "Left axis", "Poor data quality", "No previous ECG", "Possible LVH",
    "Atrial fibrillation",
)  # fmt: skip


def lines(words: Sequence[str], x_mm: float, y_mm: float, size_mm: float, apart: float = 1.5) -> tuple[Text, ...]:
    """One below the other, `apart` times their size."""
    return tuple(Text(line, x_mm, y_mm + k * apart * size_mm, size_mm) for k, line in enumerate(words))


def patient(rng: np.random.Generator) -> list[str]:
    """Number, sex and age, name, of nobody."""
    name = "".join(rng.choice(list(_CAPITALS), int(rng.integers(4, 9)))).capitalize()
    return [
        f"ID: {rng.integers(10**5, 10**8)}",
        f"{'Male' if rng.random() < 0.5 else 'Female'}  {rng.integers(18, 95)} yr",
        f"{name}, {_CAPITALS[int(rng.integers(len(_CAPITALS)))]}.",
        f"{rng.integers(140, 200)} cm  {rng.integers(45, 120)} kg",
    ]


def recorded(rng: np.random.Generator) -> list[str]:
    """When, and where."""
    return [
        f"{rng.integers(1, 29):02d}.{rng.integers(1, 13):02d}.{rng.integers(1990, 2027)}  "
        f"{rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}",
        f"Room {rng.integers(1, 60)}",
        f"Technician {rng.integers(1, 40)}",
    ]


def measured(rng: np.random.Generator) -> list[str]:
    """Numbers drawn without a look at the record."""
    return [
        f"Vent. rate  {rng.integers(45, 120)} BPM",
        f"PR interval  {rng.integers(110, 240)} ms",
        f"QRS duration  {rng.integers(70, 160)} ms",
        f"QT/QTc  {rng.integers(320, 460)}/{rng.integers(380, 500)} ms",
        f"P-R-T axes  {rng.integers(-30, 90)} {rng.integers(-60, 120)} {rng.integers(-30, 120)}",
    ]


def stated(rng: np.random.Generator) -> list[str]:
    """Up to three statements, as programs print them: of no record."""
    return [str(words) for words in rng.choice(_STATED, int(rng.integers(1, 4)), replace=False)]


def foot(rng: np.random.Generator, setting: Setting, size_mm: float) -> tuple[Text, ...]:
    """Speed, gain and filter below the traces."""
    words = setting.says + str(rng.choice(("", "   0.05-40 Hz", "   0.05-150 Hz", "   F 50~ 0.5-35 Hz", "   100Hz")))
    x = float(rng.choice((0.03, 0.12, 0.4, 0.62))) * setting.width_mm
    return (Text(words, x, setting.height_mm - float(rng.uniform(1.5, 4)), size_mm),)
