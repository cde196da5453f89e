"""What a teacher is: whoever knows of the training records what labels do not say, and how it is asked.

A file of distill/teachers defines one as TEACHER. The recipe asks every teacher without knowing which one it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

    from distill.lessons import Lessons
    from distill.pages import Pages
    from distill.runs import DecoderRun
    from distill.token_logits import TokenLogits
    from distill.training_set import TrainingSet

# (epoch, items int64 [n]) -> the logits at every token of the answers about these pages, one after the other.
AskForLogits: TypeAlias = "Callable[[int, np.ndarray], TokenLogits]"


@dataclass(frozen=True)
class Workspace:
    """folder: of one teacher in the run's folder, for what it wants to find again when the run goes on. device: where
    it computes. workers: processes that draw pages beside it."""

    folder: Path
    device: torch.device
    workers: int = 1


class Teacher(Protocol):
    """A frozen dataclass that derives from this class; its fields are its settings, kept in recipe.json.

    name: in logs, teachers.csv and the card; no two teachers of a run share one. Only `probabilities` has to be
    written; what it returns is kept in the run's folder, so a teacher is asked once.
    """

    @property
    def name(self) -> str:
        """See above; a plain field will do."""

    def probabilities(self, data: TrainingSet, workspace: Workspace) -> np.ndarray:
        """How likely each target is of each record, float32 [records, targets] in the order of data.targets.

        NaN where it does not know, and for records that are neither in data.train nor in data.validation. A teacher
        that learns from the labels should not be asked about a record that it learned from: see teachers/signal.py.
        """
        ...

    def token_logits(
        self, lessons: Lessons, pages: Sequence[Pages], run: DecoderRun, workspace: Workspace
    ) -> AskForLogits | None:
        """Logits at every token of the student's answers, from a teacher that shares its vocabulary and its pages; None
        from any other. pages: of each of lessons.views, as the teacher may look at them itself."""
        return None

    def description(self) -> str:
        """Who it is, for the model card's sentence about teachers (Markdown)."""
        return f"`{self.name}`"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the teacher's own command-line options, which `pulse-distill --teacher NAME --help` shows."""
        return

    def with_options(self, args: argparse.Namespace) -> Teacher:
        """The same teacher with its options as the command line gives them."""
        return self

    def check(self) -> None:
        """Raises UserError, before anything is trained, when the teacher cannot be asked."""
        return

    def identity(self) -> dict[str, Any]:
        """What changes its answers besides its settings, such as the files that it reads, as JSON."""
        return {}
