"""A teacher in one file: how common each label is among other patients of the same sex and about the same age.

Put it into distill/teachers/ as age.py; then `pulse-distill --data PTBXL_DIR --teacher signal,age` asks it as well.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from distill.teacher import Teacher, Workspace

if TYPE_CHECKING:
    from distill.training_set import TrainingSet


@dataclass(frozen=True)
class AgeTeacher(Teacher):
    """years: width of a group. weight: how many records the whole training set counts for in a group."""

    name: str = "age"
    years: int = 20
    weight: float = 10

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """--age-years."""
        parser.add_argument("--age-years", type=int, default=self.years, help="width of an age group (%(default)s)")

    def with_options(self, args: argparse.Namespace) -> AgeTeacher:
        """With groups of --age-years."""
        return replace(self, years=args.age_years)

    def probabilities(self, data: TrainingSet, workspace: Workspace) -> np.ndarray:
        """float32 [records, targets]; no patient's own records count for him."""
        labels, patients, values = data.cache.labels, data.cache.patients, data.targets.values
        group = np.array([f"{label['sex']} {int(label['age'] or -1) // self.years}" for label in labels])
        overall = np.nanmean(values[data.train], 0)
        found = np.full(values.shape, np.nan, np.float32)
        for row in data.rows:
            others = data.train[(group[data.train] == group[row]) & (patients[data.train] != patients[row])]
            known = np.isfinite(values[others]).sum(0)
            found[row] = (np.nansum(values[others], 0) + self.weight * overall) / (known + self.weight)
        return found


TEACHER = AgeTeacher()
