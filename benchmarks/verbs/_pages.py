"""How many pages a second one core draws, beside matplotlib on the same records.

matplotlib is what the public tools for synthetic ECG pages draw with (ecg-plot; ECG-Image-Kit, Shivashankara et
al. 2024, arXiv 2307.01946).
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from pulse.ecg.paper.render import render
from pulse.ecg.paper.variety import varied_page
from pulse.ecg.photo.photograph import photograph
from pulse.ecg.record import LEADS, Record
from pulse.instruct import samples
from pulse.instruct.plan import Look

WIDTH, HEIGHT, DPI = 544, 384, 50.8


def records(count: int = 16, seconds: float = 10.0, fs: float = 100.0) -> list[Record]:
    """Records with the slopes of real ones: beats of five Gaussian waves (P, Q, R, S, T) with noise, seeded."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        t = np.arange(0, seconds, 1 / fs)
        phase = (t * rng.uniform(0.8, 1.8)) % 1.0
        signal = np.zeros((len(LEADS), len(t)), np.float32)
        for centre, width, height in ((0.2, 0.03, 0.1), (0.37, 0.01, -0.1), (0.4, 0.012, 1.0), (0.43, 0.01, -0.25)):
            signal += rng.uniform(0.5, 1.5, (len(LEADS), 1)) * height * np.exp(-0.5 * ((phase - centre) / width) ** 2)
        signal += 0.3 * np.exp(-0.5 * ((phase - 0.7) / 0.06) ** 2) + rng.normal(0, 0.01, signal.shape)
        made.append(Record(signal=signal, fs=fs, name=f"bench-{seed}"))
    return made


def clean(record: Record, seed: int) -> np.ndarray:
    return render(record).image


def varied(record: Record, seed: int) -> np.ndarray:
    return varied_page(record, seed).image


def photographed(record: Record, seed: int) -> np.ndarray:
    return photograph(varied_page(record, seed).image, seed)


def with_matplotlib(record: Record, seed: int) -> np.ndarray:
    """The same 3x4 + rhythm page, millimetre grid and lead names, through matplotlib's Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH / 2), ylim=(0, HEIGHT / 2))
    axes.set_axis_off()
    for step, width, colour in ((1, 0.2, "#f5c8c8"), (5, 0.4, "#e89c9c")):
        axes.vlines(np.arange(0, WIDTH / 2, step), 0, HEIGHT / 2, colour, linewidth=width)
        axes.hlines(np.arange(0, HEIGHT / 2, step), 0, WIDTH / 2, colour, linewidth=width)
    n = record.signal.shape[1] // 4
    for k, name in enumerate(LEADS):
        column, row = divmod(k, 3)
        x = 10 + 62.5 * column + np.arange(n) / record.fs * 25
        axes.plot(x, 150 - 40 * row + 10 * record.signal[k, column * n : (column + 1) * n], "k", linewidth=0.6)
        axes.text(10 + 62.5 * column, 160 - 40 * row, name, fontsize=6)
    axes.plot(10 + np.arange(4 * n) / record.fs * 25, 25 + 10 * record.lead("II")[: 4 * n], "k", linewidth=0.6)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def instruct_sample(record: Record, seed: int) -> object:
    """A whole sample of pulse-instruct: page of twice the width, intervals measured, six conversations."""
    rng = np.random.default_rng(seed)
    labelled = replace(record, scp_codes={"NORM": 100.0, "SR": 0.0}, heart_axis="MID")
    return samples.page(labelled, Look(), rng), samples.entries("x", "x.jpg", samples.known(labelled), 6, rng)


KINDS: dict[str, Callable[[Record, int], object]] = {
    "clean 3x4+rhythm": clean,
    "varied look and layout": varied,
    "varied and photographed": photographed,
    "ECGInstruct sample, 1088x768": instruct_sample,
    "matplotlib, clean": with_matplotlib,
}


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Pages a second by kind, one thread: median, lowest and highest of `rounds` rounds that take the kinds in turn."""
    cv2.setNumThreads(0)
    batch = records()
    for draw in KINDS.values():
        draw(batch[0], 0)
    speeds: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(rounds):
        for name, draw in KINDS.items():
            started = time.process_time()  # CPU time: another process on the core is no page
            for seed, record in enumerate(batch):
                draw(record, seed)
            speeds[name].append(len(batch) / (time.process_time() - started))
    return {name: summary(values) for name, values in speeds.items()}


def summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def as_text(result: dict[str, dict[str, float]]) -> str:
    out = io.StringIO()
    out.write(f"{'pages a second and core, ' + f'{WIDTH}x{HEIGHT}':36}  median     min     max\n")
    for name, figures in result.items():
        out.write(f"{name:36}{figures['median']:8.0f}{figures['min']:8.0f}{figures['max']:8.0f}\n")
    return out.getvalue().rstrip()
