"""What a checkpoint's probabilities are worth: each finding's on the validation records, made true, and a point to
name it from.

Platt scaling (Platt 1999; two numbers a finding) of the log odds that the model gives. Measured on the 4-bit checkpoint
that ships, asked as a device asks it, on plain pages.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from distill.teacher import Workspace
from distill.teachers.checkpoint import CheckpointTeacher
from distill.training_set import TrainingSet
from edge_runtime.files import replacing
from edge_runtime.inference import Calibration
from pulse.ecg.ptbxl import SUPERCLASSES

_GRID = np.linspace(0.02, 0.98, 193)
_LEAST = 1e-6  # of a probability
_LEAST_POSITIVES = 20


def calibrate(checkpoint: Path, data: TrainingSet, workspace: Workspace) -> None:
    """Write the calibration of each of its findings into a checkpoint's config.json.

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
    for finding in config["inference"]["findings"]:
        column = columns.get(finding["label"])
        if column is None:
            continue  # no training record has it
        rows = classed if finding["label"] in SUPERCLASSES else np.ones(len(truth), bool)
        finding["calibration"] = fit(truth[rows, column].astype(int), asked[rows, column]).to_dict()
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
    log_odds = np.log(np.clip(probability, _LEAST, 1 - _LEAST) / np.clip(1 - probability, _LEAST, 1))
    line = LogisticRegression(C=1e4).fit(log_odds[:, None], truth)
    slope, offset = round(float(line.coef_[0, 0]), 4), round(float(line.intercept_[0]), 4)
    made_true = 1 / (1 + np.exp(-(slope * log_odds + offset)))
    scores = [
        float(f1_score(truth, made_true >= at, zero_division=0)) - 2 * float(np.mean((made_true >= at) != truth))
        for at in _GRID
    ]
    point = round(float(np.mean(_GRID[np.flatnonzero(np.isclose(scores, max(scores)))])), 3)
    named = made_true >= point
    right = int((named & (truth == 1)).sum())
    sensitivity, precision = round(right / positives, 3), round(right / max(1, int(named.sum())), 3)
    return Calibration(slope, offset, point, sensitivity, precision, positives)
