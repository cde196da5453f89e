"""The model card that travels with a student: data, licence, how it was trained, what the training measured."""

from __future__ import annotations

import csv
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from distill.calibration import FINDINGS
from distill.pages import PageMix
from distill.teaching import TEACHERS
from distill.training_set import TrainingSet
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.paper.variety import families

if TYPE_CHECKING:
    from distill.recipe import Recipe

TEXT = """# {name}

A small vision-language model that reads a picture of a 12-lead ECG and answers in English. **Research use only; not a
medical device: never decide on a patient by its answers.**

- **Data**: PTB-XL 1.0.3 (Wagner et al. 2020, doi:10.13026/kfzx-aw45, CC BY 4.0), {train:,} records of folds 1 to 8 at
  100 Hz, drawn as pages by this project: {families} families of pages in {layouts} layouts, begun at another beat each
  time; {flat:.0%} of them as the page reader hands photographs on, {photo:.0%} photographed by `pulse.ecg.photo`;
  12SL statements from PTB-XL+ 1.0.1 (Strodthoff et al. 2023, CC BY 4.0) as extra targets of the tower. {negative:.0%}
  of the pictures are no ECG, {turned:.0%} pages that lie turned, {part:.0%} parts of pages.
{training}
- **Licence**: weights CC BY 4.0, with the attribution above.{origin}

## What the training measured

Fold 9, the validation fold, on which choices are made: {validation:,} records as plain 3x4 + rhythm pages; the five
diagnostic superclasses; float32, probabilities at 0.5. Chance is an AUC of 0.5.

| what | AUC of probabilities | F1 | hard AUC | Hamming loss |
|---|---|---|---|---|
| the tower's own head | {tower} |
| the decoder, likelihood of Yes after each finding's question | {decoder} |
{findings}
## Limits

It knows the questions of `pulse/instruct/questions.py` and little else; other questions get the nearest of those
answers. Its reports name findings that it cannot measure reliably. PTB-XL comes from one country and one maker's
devices, 1989 to 1996; other populations and devices have not been measured.
"""
_FINDINGS = """
A finding is named where its probability, calibrated on fold 9 (Platt 1999), reaches its operating point there, the one
with the best F1 less twice the share of wrong answers. Measured on the records that chose it; {curve} has other points:

| finding | records | operating point | sensitivity | precision | precision at sensitivity 0.6 |
|---|---|---|---|---|---|
{rows}
"""
TRAINING = (
    "- **Training**: `pulse-distill`; recipe.json and the CSV files beside this card are its settings and its log, "
    "curves.png draws them."
)
TEACHER = (
    " Teachers' probabilities are {share:.0f} % of every target: {teachers}. The classes that answers name are the "
    "tower's, each from its own operating point on (operating_points.json), chosen on fold 9 for F1 less twice the "
    'Hamming loss; "Yes" and "No" keep natural likelihoods.'
)
START = " The tower began as that of `{start}`; its new blocks, where it has any, as the identity."
KEPT = " The tower is that of `{start}`, as it was; its head was fitted anew on what it sees."
ROUNDED = " The decoder then learned on with weights rounded as {scheme}, from its own float logits (rounded.csv)."
LOGS = ("recipe.json", "tower.csv", "decoder.csv", "curves.png")
MORE_LOGS = (TEACHERS, FINDINGS, "rounded.csv", "operating_points.json")
TEACHERS_LOGS = "teacher-*/*.csv"


def write_card(recipe: Recipe, checkpoint: Path, run: Path, data: TrainingSet) -> None:
    """Write README.md into `checkpoint` from the logs of the folder `run`, and copy the logs beside it."""
    rows = {stage: _last_row(run / f"{stage}.csv") for stage in ("tower", "decoder")}
    cells = {
        stage: " | ".join(f"{float(row[key]):.{places}f}" for key, places in _COLUMNS) for stage, row in rows.items()
    }
    student = recipe.student
    about = {
        "name": student.name,
        "origin": f" {student.origin}" if student.origin else "",
        "training": _training(recipe, run),
    }
    text = TEXT.format(
        train=len(data.train),
        validation=len(data.validation),
        findings=findings_table(checkpoint, run / FINDINGS),
        **about,
        **cells,
        **asdict(PageMix()),
        **_drawn(),
    )
    (checkpoint / "README.md").write_text(text, encoding="utf-8")
    logs = [run / name for name in LOGS]
    logs += [run / name for name in MORE_LOGS if (run / name).exists()]
    for log in (*logs, *sorted(run.glob(TEACHERS_LOGS))):
        (checkpoint / log.name).write_bytes(log.read_bytes())


def findings_table(checkpoint: Path, curves: Path) -> str:
    """What naming each finding is worth, in Markdown; nothing for a checkpoint that is not calibrated. curves: what
    calibrate wrote."""
    specs = Checkpoint.open(checkpoint).config.inference.findings
    rows = [
        f"| {spec.label} | {worth.positives} | {worth.point:.2f} | "
        f"{_cell(worth.sensitivity)} | {_cell(worth.precision)} | {_cell(_precision(curves, spec.label))} |"
        for spec in specs
        if (worth := spec.calibration) is not None
    ]
    return _FINDINGS.format(rows="\n".join(rows), curve=curves.name) if rows else ""


def _precision(curves: Path, finding: str) -> float | None:
    """At the sensitivity of _SENSITIVITY or more, the best there is."""
    points = [row for row in _rows(curves) if row["finding"] == finding]
    return max((float(row["precision"]) for row in points if float(row["sensitivity"]) >= _SENSITIVITY), default=None)


def _cell(share: float | None) -> str:
    return "too few" if share is None else f"{share:.2f}"


def _drawn() -> dict[str, int]:
    kinds = families().values()
    return {"families": len(kinds), "layouts": len({layout for kind in kinds for layout in kind.layouts})}


_SENSITIVITY = 0.6
_COLUMNS = (("auc", 3), ("f1", 1), ("hard_auc", 1), ("hamming", 1))


def _training(recipe: Recipe, run: Path) -> str:
    student, text = recipe.student, TRAINING
    if recipe.teachers:
        figures = {row["teacher"]: row for row in _rows(run / TEACHERS)}
        found = [
            f"{teacher.description()}, by itself AUC {float(figures[teacher.name]['auc']):.3f} and F1 "
            f"{float(figures[teacher.name]['f1']):.1f} on fold 9"
            for teacher in recipe.teachers
        ]
        text += TEACHER.format(share=100 * student.tower.teacher_share, teachers="; ".join(found))
    if student.tower.start:
        text += (START if student.tower.epochs else KEPT).format(start=student.tower.start)
    if student.decoder.qat:
        text += ROUNDED.format(scheme=student.decoder.qat)
    return textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _last_row(path: Path) -> dict[str, str]:
    return _rows(path)[-1]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
