"""A signal teacher whose networks begin with an encoder that learned without labels (distill/pretraining)."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.teacher import Workspace
from distill.teachers.signal import SignalTeacher
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from distill.training_set import TrainingSet


@dataclass(frozen=True)
class PretrainedTeacher(SignalTeacher):
    """name: of the recipe too, in distill/pretraining/recipes. pretraining_epochs: passes over the training records."""

    pretraining_epochs: int = 12

    def description(self) -> str:
        """What it learned from, besides what a signal teacher says."""
        return f"{super().description()}, begun with an encoder pre-trained on the training folds without labels"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """--pretraining-epochs, --pretrained-epochs, --pretrained-parts: of all teachers of this kind in a run."""
        for option, default, what in (
            ("--pretraining-epochs", self.pretraining_epochs, "without labels, of pre-trained teachers"),
            ("--pretrained-epochs", self.epochs, "with labels, of pre-trained teachers"),
            ("--pretrained-parts", self.parts, "networks of each pre-trained teacher"),
        ):
            parser.add_argument(option, type=int, default=default, metavar="N", help=f"{what} (%(default)s)")

    def with_options(self, args: argparse.Namespace) -> PretrainedTeacher:
        """As the three options say."""
        return replace(
            self,
            pretraining_epochs=args.pretraining_epochs,
            epochs=args.pretrained_epochs,
            parts=args.pretrained_parts,
        )

    def check(self) -> None:
        """Raises UserError when it has no epoch, or no network without the records that it is asked about."""
        if self.pretraining_epochs < 1 or self.epochs < 1 or self.parts < 2:
            raise UserError(
                f"teacher {self.name} takes --pretraining-epochs and --pretrained-epochs from 1, --pretrained-parts "
                "from 2"
            )

    def identity(self) -> dict[str, Any]:
        """The recipe's settings."""
        from distill.pretraining.recipes import RECIPES

        recipe = asdict(RECIPES.load(self.name))  # type: ignore[call-overload]  # as distill.teaching
        return {"recipe": json.loads(json.dumps(recipe))}

    def probabilities(self, data: TrainingSet, workspace: Workspace) -> np.ndarray:
        """As SignalTeacher's. The encoder has seen the samples of all training records, and no label of any."""
        from distill.pretraining.recipes import RECIPES
        from distill.pretraining.training import PretrainingRun, pretrain
        from distill.teachers import _signal_net

        run = PretrainingRun(self.channels, self.pretraining_epochs, self.batch, seed=self.seed)
        recipe, signals = RECIPES.load(self.name), data.cache.signals
        start = pretrain(recipe, signals, data.train, run, workspace.folder / "encoder", workspace.device)
        return _signal_net.probabilities(self, data, workspace, partial(_signal_net.train_part, start=start))
