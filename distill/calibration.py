"""What a checkpoint's probabilities are worth: each finding's on the validation records, made true, and a point to
name it from.

Platt scaling (Platt 1999; two numbers a finding) of the log odds that the model gives. Measured on the 4-bit checkpoint
that ships, asked as a device asks it, on plain pages.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_recall_curve

from distill.teacher import Workspace
from distill.teachers.checkpoint import CheckpointTeacher
from distill.training_set import TrainingSet
from edge_runtime.files import replacing
from edge_runtime.inference import Calibration
from pulse.ecg.ptbxl import SUPERCLASSES

FINDINGS = "findings.csv"
_GRID = np.linspace(0.02, 0.98, 193)
_LEAST = 1e-6  # of a probability
_LEAST_POSITIVES = 20


def calibrate(checkpoint: Path, data: TrainingSet, workspace: Workspace, curves: Path) -> None:
    """Write the calibration of each of its findings into a checkpoint's config.json, and into the CSV file `curves`
    what naming it would be worth from other points on.

    What it answers is kept in the workspace until all is asked, so that a run that was cut off goes on. As PTB-XL's
    benchmark does, superclasses are measured on records that have any.
    """
    path = checkpoint / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for finding in config["inference"]["findings"]:
        finding.pop("calibration", None)  # else it would be asked for what is calibrated already
    _write(path, config)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    validation = replace(data, train=data.validation[:0])
    asked = CheckpointTeacher(model=str(checkpoint)).probabilities(validation, workspace)[data.validation]
    truth, columns = data.targets.values[data.validation], data.targets.columns
    classed = truth[:, : len(SUPERCLASSES)].any(1)
    told = []
    for finding in config["inference"]["findings"]:
        column = columns.get(finding["label"])
        if column is None:
            continue  # no training record has it
        rows = classed if finding["label"] in SUPERCLASSES else np.ones(len(truth), bool)
        has, probability = truth[rows, column].astype(int), asked[rows, column]
        calibration = fit(has, probability)
        finding["calibration"] = calibration.to_dict()
        told += [{"finding": finding["label"], **point} for point in curve(has, made_true(probability, calibration))]
    with replacing(curves) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("finding", "point", "sensitivity", "precision"))
        writer.writeheader()
        writer.writerows({key: f"{v:.4f}" if isinstance(v, float) else v for key, v in row.items()} for row in told)
    _write(path, config)
    shutil.rmtree(workspace.folder)  # the next checkpoint answers differently


def copy_calibration(source: Path, target: Path) -> None:
    """Into the config.json of the checkpoint that `source` was rounded from: the same questions of nearly the same
    model, so that the two differ by their rounding alone."""
    findings = json.loads((source / "config.json").read_text(encoding="utf-8"))["inference"]["findings"]
    path = target / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["inference"]["findings"] = findings
    _write(path, config)


def _write(path: Path, config: dict[str, Any]) -> None:
    with replacing(path) as aside:
        aside.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def fit(truth: np.ndarray, probability: np.ndarray) -> Calibration:
    """Of one finding; truth 0/1 [n] and probability [n].

    The point is the one with the best F1 less twice the share of wrong answers: around its peak F1 hardly moves, while
    the number of wrong answers still does. Of a finding that fewer than 20 records have, or lack, nothing can be
    learned: its probabilities stay, and it is named from one half on.
    """
    positives = int(truth.sum())
    if min(positives, len(truth) - positives) < _LEAST_POSITIVES:
        return Calibration(positives=positives)
    log_odds = _log_odds(probability)
    line = LogisticRegression(C=1e4).fit(log_odds[:, None], truth)
    slope, offset = round(float(line.coef_[0, 0]), 4), round(float(line.intercept_[0]), 4)
    true = made_true(probability, Calibration(slope, offset))
    scores = [
        float(f1_score(truth, true >= at, zero_division=0)) - 2 * float(np.mean((true >= at) != truth)) for at in _GRID
    ]
    point = round(float(np.mean(_GRID[np.flatnonzero(np.isclose(scores, max(scores)))])), 3)
    named = true >= point
    right = int((named & (truth == 1)).sum())
    sensitivity, precision = round(right / positives, 3), round(right / max(1, int(named.sum())), 3)
    return Calibration(slope, offset, point, sensitivity, precision, positives)


def made_true(probability: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Probabilities [n] as a model gives them, calibrated."""
    true: np.ndarray = 1 / (1 + np.exp(-(calibration.slope * _log_odds(probability) + calibration.offset)))
    return true


def _log_odds(probability: np.ndarray) -> np.ndarray:
    odds: np.ndarray = np.log(np.clip(probability, _LEAST, 1 - _LEAST) / np.clip(1 - probability, _LEAST, 1))
    return odds


def curve(truth: np.ndarray, probability: np.ndarray) -> list[dict[str, float]]:
    """What naming a finding from a point on is worth, for at most 50 points from low to high: point, sensitivity and
    precision; truth 0/1 [n] and probability [n]. Empty where no record has it."""
    if not truth.any():
        return []
    precision, sensitivity, point = precision_recall_curve(truth, probability, drop_intermediate=True)
    some = np.unique(np.linspace(0, len(point) - 1, 50).round().astype(int))
    points = zip(point[some], sensitivity[some], precision[some], strict=True)
    return [{"point": float(at), "sensitivity": float(found), "precision": float(right)} for at, found, right in points]
