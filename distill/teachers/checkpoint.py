"""A language teacher: any checkpoint that this project reads, asked about the training records as a user would ask it.

Its likelihoods of yes against no after each finding's question are probabilities of the same kind as the signal
teacher's, whatever its vocabulary. A PULSE-7B fits in 4 or 8 bits (quantize.on_load). A teacher of the student's own
vocabulary and pages also gives its logits, token by token (distill.teachers._logits).

It is asked once about the plain page of each record, and its answers are kept. One that was trained on these records
knows their labels by heart, and teaches little: unlike the signal teacher, it cannot be asked by folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.teacher import AskForLogits, Teacher, Workspace

if TYPE_CHECKING:
    import torch

    from distill.lessons import Lessons
    from distill.pages import Pages
    from distill.runs import DecoderRun
    from distill.training_set import TrainingSet
    from pulse.checkpoint.checkpoint import Checkpoint
    from pulse.model.llava import Llava


@dataclass(frozen=True)
class CheckpointTeacher(Teacher):
    """model: MODEL as the commands take it. bits: 4 or 8 to hold a float checkpoint's decoder in, by bitsandbytes; None
    as the checkpoint has it."""

    model: str = "pulse-nano"
    bits: int | None = None

    @property
    def name(self) -> str:
        """The checkpoint's, as it was given."""
        return self.model

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Opened once. Raises UserError when it is no checkpoint."""
        from pulse.checkpoint.checkpoint import Checkpoint

        return Checkpoint.open(self.model)

    @cached_property
    def _models(self) -> dict[str, Llava]:
        return {}

    def loaded(self, device: torch.device) -> Llava:
        """The model, computing in float32 on the device; loaded once, when it is first wanted."""
        from quantize.load import load_model
        from quantize.on_load import load_in_bits

        if str(device) not in self._models:
            if self.bits is not None:
                self._models[str(device)] = load_in_bits(self.checkpoint, self.bits, device)
            else:
                self._models[str(device)] = load_model(self.checkpoint).to(device)
        return self._models[str(device)]

    def tokenizer(self, folder: Path) -> Path:
        """Its tokenizer.json, converted into `folder` when it is first wanted."""
        from pulse.checkpoint.tokenizer import TOKENIZER

        path = folder / TOKENIZER
        if not path.exists():
            self.checkpoint.write_tokenizer(path)
        return path

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """--teacher-bits."""
        parser.add_argument(
            "--teacher-bits",
            type=int,
            choices=(4, 8),
            help="hold the decoder of a checkpoint that teaches in NF4 or LLM.int8(), by bitsandbytes",
        )

    def with_options(self, args: argparse.Namespace) -> CheckpointTeacher:
        """Held in --teacher-bits."""
        return replace(self, bits=args.teacher_bits)

    def check(self) -> None:
        """Raises UserError when it is no checkpoint."""
        _ = self.checkpoint

    def identity(self) -> dict[str, Any]:
        """Its files, by size and date."""
        return self.checkpoint.identity()

    def probabilities(self, data: TrainingSet, workspace: Workspace) -> np.ndarray:
        """Of the targets that it has questions for, on the plain page of each record. Raises UserError when it has
        questions for none of them."""
        from distill.teachers import _answers

        return _answers.probabilities(self, data, workspace)

    def token_logits(
        self, lessons: Lessons, pages: Sequence[Pages], run: DecoderRun, workspace: Workspace
    ) -> AskForLogits | None:
        """As Teacher; says so when it has other tokens or pages than the student."""
        from distill.teachers import _logits

        return _logits.token_logits(self, lessons, pages, run, workspace)


TEACHER = CheckpointTeacher()
