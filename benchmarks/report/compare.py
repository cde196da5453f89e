"""`--compare OLD.json`: what is worse than in an earlier report, beyond noise.

Bundles are matched by the names of their folders. Times are compared on the same processor only, where every round of
the one is worse than every round of the other and the medians differ by more than a tolerance; answers are compared
row by row, where the paired interval of the task's headline lies below zero.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from benchmarks.metrics import paired
from benchmarks.metrics.spread import slower
from benchmarks.report.rows import SCHEMA_VERSION, Report
from benchmarks.report.schema import schema_of
from benchmarks.task import Answered
from benchmarks.tasks import TASKS
from benchmarks.verbs.latency import HIGHER_IS_BETTER, ROWS
from edge_runtime.errors import UserError, shorten

# Shares by which a median may move: times differ by a tenth between two runs on an idle machine, sizes do not.
TIME, MEMORY, SIZE = 0.15, 0.05, 0.02
# Single moments of a process's start, which one busy neighbour doubles.
_NOT_COMPARED = ("open_ms", "joules")


def read_report(path: Path) -> dict[str, Any]:
    """A report's JSON, checked against the schema. Raises UserError when it is none, or of another version."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a report.json") from None
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({shorten(str(error))}); give a report.json") from None
    version = report.get("schema_version") if isinstance(report, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: is a report of schema version {version}, this version of pulse-bench reads {SCHEMA_VERSION}; "
            "make it again"
        )
    wrong = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema_of(Report)).iter_errors(report))
    if wrong is not None:
        where = "/".join(map(str, wrong.absolute_path)) or "the whole"
        raise UserError(f"{path}: is no report of pulse-bench ({where}: {shorten(wrong.message)}); make it again")
    checked: dict[str, Any] = report
    return checked


def compare(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[str]]:
    """{"regressions": [...], "notes": [...]}: one line each; notes say what could not be compared."""
    regressions: list[str] = []
    notes: list[str] = []
    before, after = ({b["folder"]: b for b in side["bundles"]} for side in (old, new))
    notes += [f"{name}: only in the earlier report" for name in before if name not in after]
    for name in before.keys() & after.keys():
        was, now = before[name]["bytes"], after[name]["bytes"]
        if now > was * (1 + SIZE):
            regressions.append(f"{name}: {now / 1e6:.2f} MB, was {was / 1e6:.2f}")
        if _status(before[name]) == "pass" and _status(after[name]) != "pass":
            regressions.append(f"{name}: its certificate says {_status(after[name])}, said pass")
    _compare_times(old, new, regressions, notes)
    _compare_answers(old, new, regressions, notes)
    return {"regressions": sorted(regressions), "notes": sorted(notes)}


def _compare_times(old: dict[str, Any], new: dict[str, Any], regressions: list[str], notes: list[str]) -> None:
    earlier = {device["address"]: device for device in old["devices"]}
    for device in new["devices"]:
        address = device["address"]
        if address not in earlier:
            notes.append(f"{address}: not in the earlier report")
            continue
        was, now = (side["about"]["cpu"] for side in (earlier[address], device))
        if was != now:
            notes.append(f"{address}: times are not compared, the processor was {was} and is {now}")
            continue
        rows = {row["bundle"]["folder"]: row for row in earlier[address]["rows"]}
        for row in device["rows"]:
            name = row["bundle"]["folder"]
            if "figures" in row and "figures" in rows.get(name, {}):
                regressions += _worse(f"{address}, {name}", rows[name]["figures"], row["figures"])
            elif "figures" in rows.get(name, {}):
                regressions.append(f"{address}, {name}: could be run before; {row['reason']}")


def _worse(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    lines = []
    for key, title, unit in ROWS:
        was, now = old.get(key), new.get(key)
        if key in _NOT_COMPARED or was is None or now is None:
            continue
        tolerance = MEMORY if unit == "MB" else TIME
        if slower(was, now, tolerance, key in HIGHER_IS_BETTER):
            lines.append(f"{name}: {title} {now['median']:.1f} {unit}, was {was['median']:.1f}")
    return lines


def _compare_answers(old: dict[str, Any], new: dict[str, Any], regressions: list[str], notes: list[str]) -> None:
    if old["accuracy"]["task"] != new["accuracy"]["task"]:
        notes.append(f"answers are not compared, the task was {old['accuracy']['task']}")
        return
    task = TASKS.load(new["accuracy"]["task"])
    (headline,) = (shown for shown in task.shown if shown.key == task.headline)
    earlier = {model["subject"]["folder"]: model for model in old["accuracy"]["models"]}
    for model in new["accuracy"]["models"]:
        name = model["subject"]["folder"]
        if name not in earlier:
            continue
        was, now = ([Answered.from_json(row) for row in each["answers"]] for each in (earlier[name], model))
        try:
            kept = paired.compare(task, was, now)
        except ValueError:
            notes.append(f"{name}: answers are not compared, they are of other records")
            continue
        figure = kept["figures"][task.headline]
        low, high = figure["interval"]
        if high is not None and high < 0:
            p = headline.places
            change = f"{figure['difference']:+.{p}f} ({low:+.{p}f} to {high:+.{p}f})"
            regressions.append(
                f"{name}: {headline.column} {figure['model']:.{p}f}, was {figure['reference']:.{p}f}: {change}"
            )


def _status(bundle: dict[str, Any]) -> str:
    return bundle["certificate"]["status"] if bundle["certificate"] else "none"
