"""How long and how fast each stage trains: the numbers of a recipe, apart from the code that needs torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TowerRun:
    """epochs: 0 keeps the tower of `start`. workers draw pages beside the training; start: a checkpoint whose tower it
    begins with, not random weights.

    teacher_share: how much of each target is the teachers' probability, where there are teachers. frozen: the tower
    stays as it begins, and its head alone learns.
    """

    epochs: int = 16
    batch: int = 32
    peak: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 1
    workers: int = 1
    save_every_s: float = 120
    start: str | None = None
    teacher_share: float = 0.65
    frozen: bool = False


@dataclass(frozen=True)
class DecoderRun:
    """qat: the scheme that stage three rounds the weights by, for qat_epochs at a rate of at most qat_peak; None ships
    the float weights rounded. teacher_share: how much of the loss is the divergence from a teacher's token logits,
    where there are any.
    """

    epochs: int = 3
    batch: int = 16
    peak: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 1
    max_length: int = 384
    save_every_s: float = 120
    qat: str | None = None
    qat_epochs: int = 1
    qat_peak: float = 3e-4
    teacher_share: float = 0.5
