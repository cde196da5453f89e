"""What a report knows of each target and chip, by evidence: what ran there, what stood in for it, and what was not run.

A table of figures shows what was found; this one shows what nobody has looked at, chips that no figure names too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_runtime.registry import Registry
from export.target import TARGETS, Target

EVIDENCE = ("measured", "simulated", "emulated", "estimated")
WANTED = ("answers", "times")
# (chip, evidence, which of WANTED or another kind, in words)
Found = tuple[str, str, str, str]


def chip_rows(report: Mapping[str, Any], targets: Registry[Target[Any]] = TARGETS) -> list[dict[str, Any]]:
    """One rows.ChipRow a target and chip: what there is of each evidence, and which of WANTED is not."""
    rows = []
    for name, target in targets.all():
        bundles = {each["folder"] for each in report["bundles"] if each["target"] == name}
        chips: dict[str, dict[str, dict[str, str]]] = {}
        for chip, evidence, kind, words in _found(report, bundles, target):
            chips.setdefault(chip, {}).setdefault(evidence, {})[kind] = words
        rows += [_row(name, chip, found) for chip, found in chips.items()]
        left = [chip for chip in target.chips if chip not in chips]
        rows += [_row(name, chip, {}) for chip in left or ([] if chips else ["any"])]
    return rows


def chip_of(said: Mapping[str, Any], report: Mapping[str, Any], targets: Registry[Target[Any]] = TARGETS) -> str:
    """Where a subject's answers are from: this processor, the chip that was simulated, or what imitates the runtime."""
    if said["evidence"] == "simulated":
        return targets.load(said["subject"]["target"]).simulator
    return str(report["environment"]["cpu"]) if said["evidence"] == "measured" else said.get("ran_by") or "interpreted"


def _found(report: Mapping[str, Any], bundles: set[str], target: Target[Any]) -> Iterator[Found]:
    for model in report["accuracy"]["models"]:
        if model["subject"]["folder"] in bundles:
            words = f"answers ({model['kept']['records']} records)"
            yield chip_of(model, report), model["evidence"], "answers", words
    for device in report["devices"]:
        for row in device["rows"]:
            if row["bundle"]["folder"] in bundles and row["evidence"] != "not_run":
                chip, timed = device["about"]["cpu"] or device["address"], row["evidence"] == "measured"
                yield chip, row["evidence"], *(("times", "times") if timed else ("page", "one page"))
    for each in report["parity"]:
        if each["folder"] in bundles:
            yield each["processor"], "emulated", "stages", "stages of the certificate"
    for row in (report["estimates"] or {"rows": []})["rows"]:
        if row["bundle"] in bundles:
            known = row["evidence"] == "estimated"
            yield row["device"], row["evidence"], "times" if known else "", "times" if known else row["reason"]


def _row(target: str, chip: str, found: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    there = {kind for evidence in EVIDENCE for kind in found.get(evidence, {})}
    by = {evidence: list(found.get(evidence, {}).values()) for evidence in EVIDENCE}
    return {"target": target, "chip": chip, **by, "not_run": [kind for kind in WANTED if kind not in there]}
