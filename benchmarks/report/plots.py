"""The report's plots as SVG, drawn by matplotlib without a display. Colours are Okabe and Ito's, which the colour-blind
tell apart (https://jfly.uni-koeln.de/color/)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.chips import chip_of
from benchmarks.report.summary import headline, number
from benchmarks.task import Answered, Marks, Task
from benchmarks.tasks import TASKS

COLOURS = {
    "onnx": "#0072B2",
    "executorch": "#D55E00",
    "coreml": "#009E73",
    "coreai": "#56B4E9",
    "qnn": "#CC79A7",
    "torch": "#555555",
}
BITS = {"int4": 4, "nf4": 4, "int8": 8, "float16": 16, "float32": 32}
MARKERS = {"float32": "s", "float16": "D", "int8": "^", "int4": "o"}
PARTS = (
    ("preprocess_ms", "picture to pixels", "#999999"),
    ("vision_ms", "vision tower", "#0072B2"),
    ("prefill_ms", "prefill", "#56B4E9"),
    ("decode", "words", "#D55E00"),
    ("findings_ms", "findings", "#E69F00"),
)
_BINS = 10
_WIDTHS = sorted(set(BITS.values()))


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
    caption = (
        f"{title[0].upper()}{title[1:]}, against bits of a weight, by chip: paired difference from the reference, 95 % "
        f"intervals by {task.group}. Dashed: the margin. Hollow: not measured on the chip but simulated or emulated."
    )
    plots.append((caption, _svg_of(_against_bits(task, report))))
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
    return _svg_of(figure)


def _svg_of(figure: Figure) -> str:
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


def _against_bits(task: Task, report: Mapping[str, Any]) -> Figure:
    """A panel a chip, since each was asked as many records as its speed allows."""
    chips: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for model in report["accuracy"]["models"]:
        chips.setdefault((chip_of(model, report), model["evidence"]), []).append(model)
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    panels = figure.subplots(1, len(chips), sharey=True, squeeze=False)[0]
    for axes, ((chip, evidence), models) in zip(panels, chips.items(), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(0, color="#BBBBBB", linewidth=1)
        axes.axhline(-report["accuracy"]["margin"], color="#BBBBBB", linewidth=1, linestyle="--")
        for k, model in enumerate(models):
            _at_bits(axes, task, model, (k - (len(models) - 1) / 2) * 0.12)
        kept = models[0]["kept"]
        was = kept["figures"][task.headline]["reference"]
        told = "" if was is None else f", reference {number(was, headline(task).places)}"
        name = chip if len(chip) < 30 else f"{chip[:28]}…"
        axes.set_title(f"{name}\n{evidence}, {kept['records']} records{told}", fontsize="small")
        axes.set_xticks(range(len(_WIDTHS)), [str(bits) for bits in _WIDTHS])
        axes.set(xlabel="bits of a weight", xlim=(-0.6, len(_WIDTHS) - 0.4))
    panels[0].set_ylabel(f"{headline(task).column}, difference")
    lines = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines, frameon=False, fontsize="small", ncols=len(lines), loc="outside lower center")
    return figure


def _at_bits(axes: Axes, task: Task, model: Mapping[str, Any], shift: float) -> None:
    subject, kept = model["subject"], model["kept"]["figures"][task.headline]
    if subject["weights"] not in BITS or kept["difference"] is None:
        return
    low, high = kept["interval"]
    spread = None if low is None or high is None else _lengths(kept["difference"], low, high)
    colour = COLOURS.get(subject["target"], "black")
    axes.errorbar(
        _WIDTHS.index(BITS[subject["weights"]]) + shift,
        kept["difference"],
        spread,
        color=colour,
        marker="o",
        markerfacecolor=colour if model["evidence"] == "measured" else "white",
        linestyle="none",
        capsize=3,
        label=subject["target"],
    )


def _lengths(middle: float, low: float, high: float) -> list[list[float]]:
    """Of error bars; bootstrap's percentiles may leave the value itself outside."""
    return [[max(0.0, middle - low)], [max(0.0, high - middle)]]


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
