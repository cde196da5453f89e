"""What a recipe of pre-training is: what the encoder is shown of a record, and what is asked of it.

A recipe is given samples and nothing else, so it cannot read a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import nn

REDUCTION = 32  # samples at 100 Hz to one position of the encoder


class Recipe(Protocol):
    """A frozen dataclass that derives from this class; its fields are its settings."""

    def prepare(self, signals: np.ndarray, rows: np.ndarray, folder: Path) -> np.ndarray | None:
        """Targets [n, ...] of `signals` [n, 12, 1000] in microvolts (known at `rows`), kept in `folder`; None without
        any."""
        return None

    def batch(self, signal: np.ndarray, targets: np.ndarray | None, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """What the objective takes, of signals float32 [N, 12, 1000] in mV and their targets."""
        ...

    def objective(self, encoder: nn.Module, width: int) -> nn.Module:
        """A module that holds the encoder ([N, 12, n] -> [N, width, ceil(n / 32)]) and whose forward takes a batch's
        tensors and returns the loss []."""
        ...
