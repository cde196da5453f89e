"""Leads of LUDB as training examples, and all that may befall a signal on its way: wander, noise, paper, a lost P."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.waves.delineate import runs
from edge_runtime.waves.net import CLASSES
from edge_runtime.waves.prepare import FS, Array, normalize, resample
from pulse.ecg.ludb import Mark, Marked

SIZE = 1280  # samples of an example, about five seconds
_UNMARKED = -1
_MARGIN = 5  # samples beyond the first and the last mark that surely are no wave
_UNSURE = int(0.12 * FS)
_SHORT = int(2.5 * FS)  # a lead of a 3x4 page


@dataclass(frozen=True)
class Leads:
    """signal float32 [leads, n] in mV at 250 Hz; labels int8 [leads, n]: the class of each sample, -1 where nobody
    marked."""

    signal: Array
    labels: Array

    @classmethod
    def of(cls, records: Iterable[Marked]) -> Leads:
        signals, labels = [], []
        for record in records:
            signal, _ = resample(record.signal, record.fs)
            signals.append(signal)
            labels.append(np.stack([_labels(marks, record.fs, signal.shape[1]) for marks in record.marks]))
        return cls(np.concatenate(signals), np.concatenate(labels))


def _labels(marks: Sequence[Mark], fs: float, size: int) -> Array:
    made, step = np.full(size, _UNMARKED, np.int8), FS / fs
    if marks:
        first, last = marks[0].begin * step, marks[-1].end * step
        made[max(int(first) - _MARGIN, 0) : int(last) + _MARGIN] = 0
    for mark in marks:
        begin, end = int(np.ceil(mark.begin * step)), int(mark.end * step)
        made[begin : end + 1] = CLASSES.index(mark.kind)
    for mark in marks:  # between a peak and an end that nobody marked
        at = int(mark.peak * step)
        if math.isnan(mark.onset):
            made[max(at - _UNSURE, 0) : at + 1] = _UNMARKED
        if math.isnan(mark.offset):
            made[at : at + _UNSURE] = _UNMARKED
    return made


def batch(leads: Leads, rows: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """float32 [b, SIZE] as the network is given them, and int64 [b, SIZE] labels with -1 where nothing is learned."""
    signals, labels, present = [], [], []
    for row in rows:
        x, y = _cut(leads.signal[row].astype(np.float64), leads.labels[row], rng)
        fate = rng.random()
        if fate < 0.08:
            x = _without_p(x, y, rng)
        elif fate < 0.3:
            x, y = _moved_p(x, y, int(rng.uniform(-0.18, 0.03) * FS))
        elif fate < 0.8 and not (y == CLASSES.index("P")).any():
            x, y = _given_p(x, y, rng)
        if rng.random() < 0.06:
            x, y = _no_beats(x, rng), np.zeros_like(y)
        else:
            x = _spoiled(x, rng)
        there = np.ones(SIZE, bool)
        if rng.random() < 0.35:  # as short as a lead of a printed page
            begin = int(rng.integers(0, SIZE - _SHORT))
            there[:] = False
            there[begin : begin + int(_SHORT * rng.uniform(0.9, 1.6))] = True
            y = np.where(there, y, _UNMARKED)
        signals.append(x)
        labels.append(y)
        present.append(there)
    shown = np.array(present)
    return normalize(np.array(signals, np.float32), shown), np.array(labels, np.int64)


def _cut(signal: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """SIZE samples from anywhere, faster or slower than they were, turned over now and then."""
    rate = rng.uniform(0.7, 1.7) if rng.random() < 0.5 else 1.0
    span = rate * SIZE
    begin = rng.uniform(0, len(signal) - 1 - span)
    at = begin + rate * np.arange(SIZE)
    sign = -1.0 if rng.random() < 0.15 else 1.0
    return sign * np.interp(at, np.arange(len(signal)), signal), labels[np.rint(at).astype(int)].copy()


def _spoiled(x: Array, rng: np.random.Generator) -> Array:
    size = max(float(x.std()), 0.02)
    if rng.random() < 0.3:
        x = _smoothed(x, rng.uniform(0.3, 2.5))
    if rng.random() < 0.5:
        x = x + size * np.exp(rng.uniform(np.log(0.05), np.log(3.0))) * _wander(len(x), rng)
    if rng.random() < 0.5:
        x = x + size * np.exp(rng.uniform(np.log(0.01), np.log(0.4))) * _noise(len(x), rng)
    if rng.random() < 0.15:  # a trace is drawn, or read, in steps
        step = rng.uniform(0.005, 0.04)
        x = step * np.rint(x / step)
    if rng.random() < 0.06:
        low, high = np.quantile(x, [rng.uniform(0, 0.02), 1 - rng.uniform(0, 0.02)])
        x = np.clip(x, low, high)
    return x


def _smoothed(x: Array, sigma: float) -> Array:
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(x, reach, mode="edge"), kernel / kernel.sum(), "valid")


def _wander(size: int, rng: np.random.Generator) -> Array:
    t = np.arange(size) / FS
    waves = [np.sin(2 * np.pi * (f * t + rng.random())) / (1 + f) for f in rng.uniform(0.05, 0.8, 4)]
    made = np.sum(waves, 0)
    if rng.random() < 0.15:  # an electrode that moved
        made = made + rng.uniform(-2, 2) * (np.arange(size) > rng.integers(size))
    return np.asarray(made)


def _noise(size: int, rng: np.random.Generator) -> Array:
    """Of unit deviation: of a spectrum that falls with the frequency or not, mains, bursts."""
    kind = rng.integers(4)
    if kind == 0:
        t = np.arange(size) / FS
        return np.asarray(np.sqrt(2) * np.sin(2 * np.pi * (rng.choice([50.0, 60.0]) * t + rng.random())))
    made = _colored(size, rng.uniform(0, 1) if kind == 1 else 0.0, rng)
    if kind == 2:
        made = made * (_colored(size, 2.0, rng) > 0.5)
    return made


def _colored(size: int, slope: float, rng: np.random.Generator) -> Array:
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[0] = 0
    made = np.fft.irfft(spectrum, size)
    return np.asarray(made / made.std())


def _no_beats(x: Array, rng: np.random.Generator) -> Array:
    """Noise of any colour and size, an oscillation of any shape, or the record's own spectrum, its phases shuffled."""
    kind = rng.integers(4)
    size = np.exp(rng.uniform(np.log(0.003), np.log(1.0)))
    if kind == 0:
        spectrum = np.abs(np.fft.rfft(x - x.mean()))
        made = np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.random(len(spectrum))), len(x))
        return np.asarray(made)
    if kind == 1:
        t = np.arange(len(x)) / FS
        phase = (rng.uniform(0.3, 12) * t + rng.random()) % 1
        shapes = (np.sin(2 * np.pi * phase), np.sign(phase - 0.5), phase - 0.5, np.abs(phase - 0.5) - 0.25)
        wave = shapes[rng.integers(len(shapes))]
        return np.asarray(size * (wave + rng.uniform(0, 0.2) * _noise(len(x), rng)))
    return size * (_colored(len(x), rng.uniform(0, 2), rng) + rng.uniform(0, 1) * _wander(len(x), rng))


def _moved_p(x: Array, y: Array, shift: int) -> tuple[Array, Array]:
    """All P waves earlier or later, even onto the T before: a long PR is rare in LUDB. Those that would meet a QRS, or
    lie at an end, stay."""
    moved, labels, taken = x.copy(), y.copy(), y == CLASSES.index("QRS")
    for begin, end in runs(y == CLASSES.index("P")):
        to = slice(begin + shift, end + shift)
        if begin < 1 or end >= len(x) or to.start < 0 or to.stop > len(x) or taken[to].any() or (y[to] < 0).any():
            continue
        line = np.linspace(x[begin - 1], x[end], end - begin + 2)[1:-1]
        moved[begin:end] -= x[begin:end] - line
        moved[to] += x[begin:end] - line
        labels[begin:end] = np.where(labels[begin:end] == CLASSES.index("P"), 0, labels[begin:end])
        labels[to] = CLASSES.index("P")
    return moved, labels


def _given_p(x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """A P of one shape before each QRS that has room for one. Most of LUDB's left bundle branch blocks fibrillate: a
    network that learned from them alone finds no P before a wide QRS."""
    length, pr = int(rng.uniform(0.07, 0.13) * FS), int(rng.uniform(0.11, 0.24) * FS)
    swing = np.linspace(-1, 1, length) * rng.uniform(0, 2.5) + rng.uniform(-1.5, 1.5)  # of one phase or of two
    shape = np.hanning(length) * np.cos(swing)
    shape *= rng.choice([-1, 1]) * rng.uniform(0.05, 0.25) * (np.quantile(x, 0.98) - np.quantile(x, 0.02)) / 1.5
    given, labels = _smoothed(x, rng.uniform(0.5, 3.0)) if rng.random() < 0.5 else x.copy(), y.copy()
    for begin, _ in runs(y == CLASSES.index("QRS")):
        at = slice(begin - pr, begin - pr + length)
        if at.start >= 0 and at.stop < begin and not y[at].any():
            given[at] += shape
            labels[at] = CLASSES.index("P")
    return given, labels


def _without_p(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Straight lines where P waves were, fibrillation all over; y loses its P as well."""
    p = y == CLASSES.index("P")
    if p.any() and not p.all():
        steps = np.arange(len(x))
        x = np.where(p, np.interp(steps, steps[~p], _smoothed(x, 2.0)[~p]), x)
        y[p] = 0
    t = np.arange(len(x)) / FS
    phase = 2 * np.pi * np.cumsum(rng.uniform(4, 8) + _colored(len(x), 1.0, rng)) / FS
    waves = np.sin(phase) + 0.4 * np.sin(2 * phase + rng.uniform(0, 6)) * (1 + 0.3 * np.sin(t))
    return np.asarray(x + rng.uniform(0.0, 0.12) * float(x.std()) / 0.2 * waves)
