"""Dialogues about one page packed into one sequence: the image once, every dialogue alone behind it.

A page carries a dozen questions; repeating its image tokens for each would be most of the work. Each dialogue sees the
image and itself, at the positions that it would have if it stood alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.instruct.questions import Turn

IGNORE = -100


@dataclass(frozen=True)
class Packed:
    """ids, positions, segments, targets int64 [L] and weights float32 [L]; the image's positions hold id 0, segment 0.

    targets[i] is the token that position i must predict, IGNORE outside answers.
    """

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Packer:
    """Packs dialogues with the device's own prompt and tokenizer code."""

    def __init__(self, prompt: Prompt, tokenizer: Tokenizer, image_tokens: int, end: int, max_length: int):
        self.prompt, self.tokenizer, self.end, self.max_length = prompt, tokenizer, end, max_length
        self.before, self.image_tokens = prompt.before_image(), image_tokens
        self.first = lru_cache(4096)(prompt.after_image)
        self.next = lru_cache(4096)(prompt.next_turn)
        self.encode = lru_cache(4096)(tokenizer.encode)

    @property
    def image_start(self) -> int:
        return len(self.before)

    def pack(self, dialogues: Sequence[Sequence[Turn]]) -> Packed:
        """Dialogues that no longer fit max_length are left out; the first always fits."""
        prefix = len(self.before) + self.image_tokens
        ids = [*self.before, *[0] * self.image_tokens]
        positions, segments = list(range(prefix)), [0] * prefix
        targets, weights = [IGNORE] * prefix, [0.0] * prefix
        for number, dialogue in enumerate(dialogues, 1):
            tokens: list[int] = []
            wanted: list[int] = []
            share: list[float] = []
            for turn_number, turn in enumerate(dialogue):
                question = self.next(turn.question) if turn_number else self.first(turn.question)
                answer = [*self.encode(turn.answer), self.end]
                # Position i predicts token i + 1: an answer's targets start at the question's last token. Long answers
                # weigh more than short ones, but not by their length, or reports would drown the yes and no.
                tokens += [*question, *answer]
                wanted += [*[IGNORE] * (len(question) - 1), *answer, IGNORE]
                share += [*[0.0] * (len(question) - 1), *[len(answer) ** -0.5] * len(answer), 0.0]
            if len(ids) + len(tokens) > self.max_length:
                continue
            ids += tokens
            positions += range(prefix, prefix + len(tokens))
            segments += [number] * len(tokens)
            targets += wanted
            weights += share
        whole = [np.array(x, np.int64) for x in (ids, positions, segments, targets)]
        return Packed(whole[0], whole[1], whole[2], whole[3], np.array(weights, np.float32))


@dataclass(frozen=True)
class Batch:
    """Padded sequences: ids, positions, targets [B, L], weights [B, L], mask bool [B, 1, L, L] (True: may look)."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on that device."""
        return Batch(*(value.to(device) for value in vars(self).values()))


def collate(sequences: Sequence[Packed]) -> Batch:
    length = max(len(s.ids) for s in sequences)

    def padded(name: str, fill: float) -> Tensor:
        rows = [np.pad(getattr(s, name), (0, length - len(s.ids)), constant_values=fill) for s in sequences]
        return torch.from_numpy(np.stack(rows))

    segments, order = padded("segments", -1), torch.arange(length)
    mine, theirs = segments[:, :, None], segments[:, None, :]
    # A padded position sees padding, itself at least: a row without any key would make NaN.
    mask = (order[None, :] <= order[:, None]) & ((mine == theirs) | (theirs == 0))
    return Batch(
        padded("ids", 0), padded("positions", 0), padded("targets", IGNORE), padded("weights", 0.0), mask[:, None]
    )
