"""What the decoder learns from: pages as the tower sees them, dialogues about them, and what teachers would say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.dataset_cache import DatasetCache
from distill.dialogues import Batch, Packer, collate
from distill.features import Features
from distill.pages import TURNED, Shown
from distill.soft_targets import SoftTargets
from distill.teacher import AskForLogits
from distill.token_logits import TokenLogits
from distill.tokens import facts_of
from pulse.instruct.facts import Facts
from pulse.instruct.questions import Turn, training_turns


@dataclass(frozen=True)
class Lessons:
    """What the decoder learns from.

    views: features of the same records, drawn and photographed differently; the epochs take them in turn.
    soft_targets: of each view's pages, None to answer by the labels alone. tokenizer_file: the student's
    tokenizer.json. token_logits: what each teacher of the same vocabulary gives for an epoch's pages. unsaid: codes
    that no answer names.
    """

    cache: DatasetCache
    views: Sequence[Features]
    soft_targets: Sequence[SoftTargets] | None
    packer: Packer
    tokenizer_file: Path
    token_logits: Sequence[AskForLogits] = ()
    unsaid: frozenset[str] = frozenset()

    def view(self, epoch: int) -> Features:
        """The epoch's features."""
        return self.views[epoch % len(self.views)]

    def dialogues(self, seed: int, epoch: int, item: int) -> list[list[Turn]]:
        """Those of one page of the epoch's view; they depend on (seed, epoch, item) alone."""
        view = epoch % len(self.views)
        row, shown = int(self.views[view].rows[item]), int(self.views[view].shown[item])
        rng = np.random.default_rng([seed, epoch, item])
        facts = Facts(is_ecg=False)
        if row >= 0:
            turns = shown if shown in TURNED else 0
            facts = replace(facts_of(self.cache.labels[row], self.unsaid), turns=turns, whole=shown != Shown.PART)
        soft = None if self.soft_targets is None or row < 0 else self.soft_targets[view][item]
        return training_turns(facts, rng, soft)

    def batches(self, seed: int, epoch: int, order: np.ndarray, size: int) -> Iterator[Lesson]:
        """The pages of `order`, `size` at a time."""
        for first in range(0, len(order), size):
            items = order[first : first + size]
            batch = collate([self.packer.pack(self.dialogues(seed, epoch, int(item))) for item in items])
            logits = [ask(epoch, items) for ask in self.token_logits]
            yield Lesson(torch.from_numpy(self.view(epoch).tokens[items].astype(np.float32)), batch, logits)


@dataclass(frozen=True)
class Lesson:
    """Some pages: features float32 [B, T, C], their dialogues, and each teacher's logits at the answers' tokens."""

    features: Tensor
    batch: Batch
    token_logits: Sequence[TokenLogits]

    def to(self, device: torch.device) -> Lesson:
        """The same on that device."""
        logits = [one.to(device) for one in self.token_logits]
        return Lesson(self.features.to(device), self.batch.to(device), logits)
