"""What a recording's probabilities are worth: the log odds of its drawn page and those of its signals, together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from distill.calibration import fit
from distill.dataset_cache import FS, DatasetCache
from distill.training_set import TrainingSet
from edge_runtime.files import replacing
from edge_runtime.inference import Calibration, FindingSpec
from edge_runtime.recording import Recording
from edge_runtime.session import Session
from edge_runtime.signal_net import SignalNet
from pulse.ecg.ptbxl import SUPERCLASSES

_LEAST = 1e-9  # of a probability


def calibrated(session: Session, net: SignalNet, data: TrainingSet, config: Path, kept: Path) -> str:
    """Write the calibration of recordings of each finding into a checkpoint's config.json; a table of what the page,
    the signals and both are worth on the validation recordings that have a class. kept: where what the page gives is
    kept, as it takes minutes."""
    content = json.loads(config.read_text(encoding="utf-8"))
    specs = [spec for spec in session.inference.findings if spec.label in net.labels and spec.learnt is None]
    rows, columns = data.validation, data.targets.columns
    if not kept.exists():
        with replacing(kept) as aside, aside.open("wb") as file:
            np.save(file, page_odds(session, data.cache, rows, specs))
    page = np.load(kept)
    signals = np.array([list(net.read(recording(data.cache, row)).values()) for row in rows])
    classed = data.targets.values[rows, : len(SUPERCLASSES)].any(1)
    lines = [f"{'finding':8} {'records':>7} {'page':>6} {'signals':>7} {'both':>6} point  sens  prec"]
    for number, spec in enumerate(specs):
        some = classed if spec.label in SUPERCLASSES else np.ones(len(rows), bool)
        truth = data.targets.values[rows, columns[spec.label]].astype(int)[some]
        of_page, of_signals = page[some, number], signals[some, net.labels.index(spec.label)]
        found = fit_both(truth, of_page, of_signals)
        entry = next(each for each in content["inference"]["findings"] if each["label"] == spec.label)
        entry.pop("recorded", None)
        if found is not None:
            entry["recorded"] = found.to_dict()
            both = made_true(found, of_page, of_signals)
            areas = [f"{roc_auc_score(truth, each):.3f}" for each in (of_page, of_signals, both)]
            worth = f"{found.point:.2f}  {found.sensitivity:.2f}  {found.precision:.2f}"
            lines.append(f"{spec.label:8} {found.positives:7} {areas[0]:>6} {areas[1]:>7} {areas[2]:>6} {worth}")
    with replacing(config) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return "\n".join(lines)


def recording(cache: DatasetCache, row: int) -> Recording:
    """The record at that index."""
    return Recording(cache.signals[row].astype(np.float32) / 1000, FS)


def page_odds(session: Session, cache: DatasetCache, rows: np.ndarray, specs: Sequence[FindingSpec]) -> np.ndarray:
    """Log odds float64 [n, specs] that the model gives of the page drawn of each recording, before any calibration."""
    plain = [replace(spec, calibration=None, recorded=None) for spec in specs]
    found = []
    for row in tqdm(rows, "recordings", disable=None):
        page = session.look(recording(cache, int(row)))
        found.append([_odds(page.finding(spec).probability) for spec in plain])
    return np.array(found)


def fit_both(truth: np.ndarray, page: np.ndarray, signals: np.ndarray) -> Calibration | None:
    """Of one finding: 0/1 [n], and both log odds [n]. A line of both (as Platt 1999 has it of one), and a point as
    distill.calibration chooses it. None where too few have the finding, or the page has nothing to add."""
    if min(truth.sum(), len(truth) - truth.sum()) < 20:
        return None
    line = LogisticRegression(C=1e4, max_iter=1000).fit(np.stack([page, signals], axis=1), truth)
    (of_page, of_signals), offset = line.coef_[0], float(line.intercept_[0])
    if of_page < 1e-3 or of_signals <= 0:
        return None
    joint = of_page * page + of_signals * signals + offset
    chosen = fit(truth, 1 / (1 + np.exp(-joint)))
    slope, shift = chosen.slope, chosen.offset
    return Calibration(
        round(float(slope * of_page), 4),
        round(slope * offset + shift, 4),
        chosen.point,
        chosen.sensitivity,
        chosen.precision,
        chosen.positives,
        round(float(slope * of_signals), 4),
    )


def made_true(calibration: Calibration, page: np.ndarray, signals: np.ndarray) -> np.ndarray:
    """Probabilities [n] by both log odds [n]."""
    odds = calibration.slope * page + calibration.signal_slope * signals + calibration.offset
    true: np.ndarray = 1 / (1 + np.exp(-odds))
    return true


def _odds(probability: float) -> float:
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(p / (1 - p)))
