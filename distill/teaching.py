"""Every teacher of a run is asked about the records, once, and their answers are averaged."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from distill.teacher import Teacher, Workspace
from distill.training_set import TrainingSet
from distill.validation import FIGURES, figures, in_words
from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from pulse.ecg.ptbxl import SUPERCLASSES

TEACHERS = "teachers.csv"


def settings_of(teacher: Teacher) -> dict[str, Any]:
    """The teacher's name and fields, as JSON."""
    fields = asdict(teacher)  # type: ignore[call-overload]  # a Protocol cannot say that it is a dataclass
    settings: dict[str, Any] = json.loads(json.dumps({"name": teacher.name, **fields}))
    return settings


def kept_probabilities(teacher: Teacher, data: TrainingSet, workspace: Workspace) -> np.ndarray:
    """The teacher's probabilities float32 [n, k], from its folder when it was asked before.

    Raises UserError when the folder holds another teacher's, or the teacher gives another shape.
    """
    _claim(workspace.folder, {**settings_of(teacher), **teacher.identity()})
    path, shape = workspace.folder / "probabilities.npy", data.targets.values.shape
    found = np.load(path) if path.exists() else np.asarray(teacher.probabilities(data, workspace), np.float32)
    if found.shape != shape:
        raise UserError(
            f"teacher {teacher.name}: gives probabilities of shape {found.shape}, and the {shape[0]} records have "
            f"{shape[1]} targets; correct the teacher, or give another --out for other records"
        )
    if not path.exists():
        with replacing(path) as aside:
            np.save(aside, found)
    return found


def mean_probabilities(soft: Sequence[np.ndarray]) -> np.ndarray | None:
    """The mean [n, k] of several teachers' probabilities over those that know; NaN where none does, None without any
    teacher."""
    if not soft:
        return None
    known = np.isfinite(soft)
    count = known.sum(0)
    total = np.where(known, soft, 0).sum(0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def report(found: Mapping[str, np.ndarray], data: TrainingSet, out: Path) -> None:
    """Each teacher's own figures on the validation records' superclasses, printed and in out/teachers.csv."""
    rows = []
    for name, soft in found.items():
        judged = soft[data.validation, : len(SUPERCLASSES)]
        known = np.isfinite(judged).all()  # a teacher that knows not every class has no figures here
        row = figures(data.classes(data.validation), judged) if known else dict.fromkeys(FIGURES, float("nan"))
        rows.append({"teacher": name, **{key: f"{value:.6g}" for key, value in row.items()}})
        tqdm.write(f"teacher {name}: {in_words(row)}")
    if rows:
        with (out / TEACHERS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _claim(folder: Path, about: Mapping[str, Any]) -> None:
    """A folder keeps what one teacher gave."""
    path = folder / "teacher.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != about:
        raise UserError(f"{folder}: holds what another teacher gave, or this one before it changed; remove it")
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path.write_text(json.dumps(about) + "\n", encoding="utf-8")
