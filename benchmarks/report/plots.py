"""The report's plots as SVG, drawn by matplotlib without a display. Colours are Okabe and Ito's, which the colour-blind
tell apart (https://jfly.uni-koeln.de/color/)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.summary import headline
from benchmarks.task import Answered, Marks, Task
from benchmarks.tasks import TASKS

COLOURS = {"onnx": "#0072B2", "executorch": "#D55E00", "coreml": "#009E73", "torch": "#555555"}
MARKERS = {"float32": "s", "float16": "D", "int8": "^", "int4": "o"}
PARTS = (
    ("preprocess_ms", "picture to pixels", "#999999"),
    ("vision_ms", "vision tower", "#0072B2"),
    ("prefill_ms", "prefill", "#56B4E9"),
    ("decode", "words", "#D55E00"),
    ("findings_ms", "findings", "#E69F00"),
)
_BINS = 10


def draw(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(caption, SVG) of each plot that the report has figures for."""
    plots = []
    for device in report["devices"]:
        ran = [row for row in device["rows"] if _complete(row)]
        if ran:
            caption = f"Where the time of one report goes on {device['address']}: medians, one page, warm."
            plots.append((caption, _svg(_breakdown, ran)))
        swept = [row for row in device["sweep"] if "figures" in row]
        if len(swept) > 1:
            caption = f"Prefill against the positions before the answer on {device['address']}, 95 % intervals: " + (
                f"{swept[0]['bundle']['folder']}, whose page takes {swept[0]['image_positions']}."
            )
            plots.append((caption, _svg(_prefill, swept)))
    accuracy = report["accuracy"]
    models = [accuracy["reference"], *accuracy["models"]]
    task = TASKS.load(accuracy["task"])
    title = headline(task).title
    caption = f"{title[0].upper()}{title[1:]}, against size, 95 % intervals by {task.group}."
    plots.append((caption, _svg(_against_size, task, accuracy["models"])))
    marks = [task.marks([Answered.from_json(row) for row in model["answers"]]) for model in models]
    if not any(np.isnan(each.probability).any() for each in marks):
        caption = "Calibration of the classes' probabilities: how often what is called so likely is there."
        plots.append((caption, _svg(_calibration, models, marks)))
    return plots


def _complete(row: Mapping[str, Any]) -> bool:
    """Whether every part was timed; a farm that runs single graphs times some."""
    keys = ("decode_tokens_per_s" if key == "decode" else key for key, _, _ in PARTS)
    return all(row.get("figures", {}).get(key) for key in keys)


def _svg(plot: Any, *data: Any) -> str:
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    plot(axes, *data)
    out = io.StringIO()
    # No date and no random ids: the same figures give the same file.
    figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return out.getvalue()[out.getvalue().index("<svg") :]


def _breakdown(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [row["bundle"]["folder"] for row in rows]
    left = np.zeros(len(rows))
    for key, title, colour in PARTS:
        values = np.array([_words_ms(row) if key == "decode" else row["figures"][key]["median"] for row in rows])
        axes.barh(names, values, left=left, color=colour, label=title)
        left += values
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds")
    axes.legend(frameon=False, fontsize="small", ncols=len(PARTS), loc="lower center", bbox_to_anchor=(0.5, 1))


def _words_ms(row: Mapping[str, Any]) -> float:
    speed = row["figures"]["decode_tokens_per_s"]["median"]
    return 1e3 * row["tokens"] / speed if speed else 0.0


def _prefill(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    at = [row["prompt_positions"] for row in rows]
    prefill = [row["figures"]["prefill_ms"] for row in rows]
    middle = np.array([f["median"] for f in prefill])
    low, high = (np.array([f["interval"][k] for f in prefill]) for k in (0, 1))
    axes.errorbar(at, middle, (middle - low, high - middle), color=COLOURS["onnx"], marker="o", capsize=3)
    axes.set(xlabel="positions before the answer", ylabel="prefill, ms", ylim=(0, None), xlim=(0, None))


def _against_size(axes: Axes, task: Task, models: Sequence[Mapping[str, Any]]) -> None:
    for model in models:
        subject, found = model["subject"], task.intervals(model["figures"])[task.headline]
        value, low, high = found or (None, None, None)
        if value is None:
            continue
        spread = None if low is None or high is None else [[value - low], [high - value]]
        axes.errorbar(
            subject["bytes"] / 1e6,
            value,
            spread,
            color=COLOURS.get(subject["target"], "black"),
            marker=MARKERS.get(subject["weights"], "x"),
            linestyle="none",
            capsize=3,
            label=f"{subject['target']} {subject['weights']}",
        )
    axes.set(xlabel="size, MB", ylabel=headline(task).title, xlim=(0, None))
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _calibration(axes: Axes, models: Sequence[Mapping[str, Any]], marks: Sequence[Marks]) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1)
    for model, each in zip(models, marks, strict=True):
        truth, told = each.truth, each.probability
        at = np.minimum((told * _BINS).astype(int), _BINS - 1)
        used = [b for b in range(_BINS) if (at == b).any()]
        subject = model["subject"]
        axes.plot(
            [told[at == b].mean() for b in used],
            [truth[at == b].mean() for b in used],
            color=COLOURS.get(subject["target"], "black"),
            marker=MARKERS.get(subject["weights"], "x"),
            markersize=4,
            linewidth=1,
            label=f"{subject['target']} {subject['weights']}",
        )
    axes.set(xlabel="probability told", ylabel="share that has it", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
