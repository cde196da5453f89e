"""Run everything that a report tells, and put it together as the JSON that rows.Report describes."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.devices import open_device
from benchmarks.estimate.profile import Profile
from benchmarks.estimate.roofline import runs_of
from benchmarks.report.chips import chip_rows
from benchmarks.report.rows import SCHEMA_VERSION
from benchmarks.sample import data_folder
from benchmarks.subjects.answers import page_of
from benchmarks.subjects.environment import environment
from benchmarks.subjects.subject import Subject, about_bundle
from benchmarks.tasks import TASKS
from benchmarks.verbs import latency, retention
from benchmarks.verbs.estimate import estimates
from edge_runtime.bundle import Bundle
from export.certificate.certify import CERTIFICATE
from export.certificate.emulated import emulate
from export.certificate.userland import Userland, open_userland
from export.pages import example_pages

PAGES = 6  # of questions whose answer changed, shown
MOST = {**retention.MOST, "simulated": 24}  # questions; a vendor's simulator takes half a minute for a page
# (what is counted, its title, how many) -> the same things, counted for whoever watches.
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    The reference answers the same questions as the bundles. task: the arguments that retention.measure takes, which say
    what is asked. contexts, tiles: positions before the answer, and tiles of a page, with which the first bundle's
    prefill is timed as well. profiles: devices that are not here, to be estimated from this machine's runs of onnx
    bundles. emulated: run those on ARM's kernels too.
    """

    bundles: tuple[Bundle, ...]
    reference: Subject
    image: Path
    task: argparse.Namespace
    devices: tuple[str, ...] = ("local",)
    rounds: int = 5
    runs: int = 5
    contexts: tuple[int, ...] = ()
    tiles: tuple[int, ...] = ()
    profiles: tuple[Profile, ...] = ()
    emulated: bool = False


def collect(plan: Plan, command: str, progress: Progress = lambda things, title, total: things) -> dict[str, Any]:
    """Measure; returns the report. Raises UserError as retention.measure does."""
    abouts = [_about(bundle) for bundle in plan.bundles]
    userland = open_userland() if plan.emulated else None  # refused now, not after the minutes before it
    devices = [_timed(plan, address, progress) for address in plan.devices]
    subjects = [plan.reference, *map(Subject, plan.bundles)]
    accuracy = retention.measure(subjects, plan.task, MOST, progress)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "pulse_edge": metadata.version("pulse-edge"),
        "command": command,
        "notice": plan.bundles[0].manifest.inference.notice,
        "environment": environment(),
        "bundles": abouts,
        "devices": devices,
        "parity": [] if userland is None else _parity(plan, userland, progress),
        "estimates": _estimates(plan, devices),
        "accuracy": accuracy,
    }
    return {**report, "chips": chip_rows(report)}


def changed_pages(plan: Plan, report: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """id -> page, uint8 RGB [H, W, 3], of the first questions whose answer changed in some model."""
    accuracy = report["accuracy"]
    changed = {flip["id"] for model in accuracy["models"] for flip in model["kept"]["flips"]}
    if not changed:
        return {}
    with data_folder(accuracy["data"]) as data:
        asked = (one for one in TASKS.load(accuracy["task"]).ask(data, plan.task).asked if one.id in changed)
        return {one.id: page_of(one) for one in islice(asked, PAGES)}


def _about(bundle: Bundle) -> dict[str, Any]:
    """A bundle and what its own certificate says, None for a bundle without one."""
    path = bundle.folder / CERTIFICATE
    certificate = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return {**about_bundle(bundle), "certificate": certificate}


def _timed(plan: Plan, address: str, progress: Progress) -> dict[str, Any]:
    device = open_device(address)

    def watched(cases: Any) -> Any:
        return progress(cases, f"latency on {address}", len(cases))

    try:
        rows = latency.measure(device, plan.bundles, plan.image, (latency.Setting(),), plan.rounds, plan.runs, watched)
        first = next((b for b, row in zip(plan.bundles, rows, strict=True) if row["evidence"] != "not_run"), None)
        sweep = []
        settings = [latency.Setting(context=context) for context in plan.contexts]
        settings += [latency.Setting(tiles=tiles) for tiles in plan.tiles]
        if first is not None and settings:
            sweep = latency.measure(device, [first], plan.image, settings, plan.rounds, plan.runs, watched)
        return {"address": address, "evidence": device.evidence, "about": device.about(), "rows": rows, "sweep": sweep}
    finally:
        device.close()


def _parity(plan: Plan, userland: Userland, progress: Progress) -> list[dict[str, Any]]:
    """Every onnx bundle's golden pages on ARM's kernels against this machine's."""
    bundles = [bundle for bundle in plan.bundles if bundle.manifest.target == "onnx"]
    watched = progress(bundles, "emulated aarch64", len(bundles))
    return [
        {"folder": bundle.folder.name, **emulate(bundle, userland, example_pages()).as_json()} for bundle in watched
    ]


def _estimates(plan: Plan, devices: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """None where this machine's runs of onnx bundles, which a fit needs, or device files are lacking."""
    onnx = [bundle for bundle in plan.bundles if bundle.manifest.target == "onnx"]
    rows = [row for device in devices if device["address"] == "local" for row in device["rows"]]
    runs = runs_of(rows, onnx, plan.image)
    return estimates(runs, plan.profiles) if runs and plan.profiles else None
