"""The report's main table: one line a device and bundle, each figure with its evidence."""

from __future__ import annotations

from typing import Any

from benchmarks.task import Shown, Task
from benchmarks.tasks import TASKS

# Key of latency.ROWS, heading, decimals.
TIMES = (
    ("start_ms", "cold start to first token, ms", 0),
    ("first_token_ms", "first token, ms", 0),
    ("total_ms", "whole report, ms", 0),
    ("decode_tokens_per_s", "decode, tokens/s", 0),
    ("peak_mb", "peak memory, MB", 0),
)


def lines(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Each: device, bundle, times {key: cell}, answers {key: cell}, kept (cell), verdict, size in MB, certificate.

    A cell is {"text", "range", "evidence"}; text is "not_run" where nothing could be measured.
    """
    task = TASKS.load(report["accuracy"]["task"])
    said = {model["subject"]["folder"]: model for model in report["accuracy"]["models"]}
    certificates = {bundle["folder"]: bundle["certificate"] for bundle in report["bundles"]}
    return [
        {
            "device": device["address"],
            "bundle": row["bundle"],
            "times": {key: _time(row, key, places) for key, _, places in TIMES},
            **_answers(task, said[row["bundle"]["folder"]]),
            "megabytes": f"{row['bundle']['bytes'] / 1e6:.1f}",
            "certificate": (certificates[row["bundle"]["folder"]] or {"status": "none"})["status"],
            "reason": row.get("reason", ""),
        }
        for device in report["devices"]
        for row in device["rows"]
    ]


def _time(row: dict[str, Any], key: str, places: int) -> dict[str, str]:
    figure = row.get("figures", {}).get(key)
    if figure is None:
        return cell(None, None, places, "not_run")
    return cell(figure["median"], figure["interval"], places, row["evidence"])


def columns(task: Task) -> list[tuple[str, str, int]]:
    """Key, heading and decimals of the answers' figures in the main table."""
    return [(shown.key, shown.column, shown.places) for shown in task.shown if shown.column]


def headline(task: Task) -> Shown:
    """The figure that verdicts go by."""
    return next(shown for shown in task.shown if shown.key == task.headline)


def _answers(task: Task, model: dict[str, Any]) -> dict[str, Any]:
    answers, intervals = {}, task.intervals(model["figures"])
    for key, _, places in columns(task):
        value, *interval = intervals.get(key) or (None, None, None)
        answers[key] = cell(value, interval, places, model["evidence"])
    main = model["kept"]["figures"][task.headline]
    kept = cell(main["difference"], main["interval"], headline(task).places, model["evidence"], sign=True)
    return {
        "answers": answers,
        "kept": kept,
        "verdict": model["kept"]["verdict"]["found"],
        "records": model["kept"]["records"],
    }


def cell(value: float | None, interval: Any, places: int, evidence: str, sign: bool = False) -> dict[str, str]:
    """A figure as text, with its interval beside it."""
    if value is None:
        return {"text": "not_run", "range": "", "evidence": "not_run"}
    known = interval is not None and None not in interval
    spread = f"{number(interval[0], places, sign)} to {number(interval[1], places, sign)}" if known else ""
    return {"text": number(value, places, sign), "range": spread, "evidence": evidence}


def number(value: float, places: int, sign: bool = False) -> str:
    """As text; what rounds to nothing has no minus before it."""
    return format(round(value, places) + 0.0, f"{'+' if sign else ''}.{places}f")
