"""The signal teacher: 1-D networks that read the twelve leads themselves, which the student only sees as a picture.

Its probabilities say how sure one can be of a label, which 0/1 labels do not (Hinton et al. 2015, arXiv 1503.02531; for
ECG pages the idea of VizECGNet, arXiv 2408.02888). A network is never asked about a record that it was trained on:
the training folds are split in parts, and each part is judged by a network that saw all the others.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from distill.teacher import Teacher, Workspace
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from distill.training_set import TrainingSet


@dataclass(frozen=True)
class SignalTeacher(Teacher):
    """channels of the stages, two residual blocks each, every stage at half the rate of the one before; parts: how many
    networks there are, each trained without one part of the records and asked about that part."""

    name: str = "signal"
    epochs: int = 12
    batch: int = 64
    peak: float = 4e-3
    weight_decay: float = 0.05
    channels: tuple[int, ...] = (48, 96, 160, 224)
    parts: int = 4
    seed: int = 1

    def description(self) -> str:
        """How many networks there are, and that none judged what it saw."""
        return (
            f"`{self.name}`, 1-D networks that read the leads themselves ({self.parts}, each asked about the folds it "
            "never saw)"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """--signal-epochs, --signal-parts."""
        parser.add_argument(
            "--signal-epochs", type=int, default=self.epochs, metavar="N", help="of the signal teacher (%(default)s)"
        )
        parser.add_argument(
            "--signal-parts", type=int, default=self.parts, metavar="N", help="networks of it (%(default)s)"
        )

    def with_options(self, args: argparse.Namespace) -> SignalTeacher:
        """Of --signal-parts networks, trained for --signal-epochs."""
        return replace(self, epochs=args.signal_epochs, parts=args.signal_parts)

    def check(self) -> None:
        """Raises UserError when it has no epoch, or no network without the records that it is asked about."""
        if self.epochs < 1 or self.parts < 2:
            raise UserError("the signal teacher takes --signal-epochs from 1 and --signal-parts from 2")

    def probabilities(self, data: TrainingSet, workspace: Workspace) -> np.ndarray:
        """Every target of the training records by the network that did not see them, of the validation records by the
        mean of all. Figures of every epoch go to signal.csv in its folder; networks are resumed by whole epochs."""
        from distill.teachers import _signal_net

        return _signal_net.probabilities(self, data, workspace)


TEACHER = SignalTeacher()
