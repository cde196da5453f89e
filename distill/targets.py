"""What the vision tower learns to see: PTB-XL's labels as one vector a record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.dataset_cache import DatasetCache
from pulse.ecg.labels import AXES
from pulse.ecg.ptbxl import SUPERCLASSES, superclasses

MIN_STATEMENTS = 150  # 12SL statements rarer than this in the training folds teach nothing
RATE_CENTRE, RATE_SCALE = 70.0, 0.5


@dataclass(frozen=True)
class Targets:
    """names [k] of the yes/no targets; values float32 [n, k] (NaN: unknown); rate float32 [n], log2 of the heart rate
    around 70 a minute, in half octaves (NaN: unknown)."""

    names: list[str]
    values: np.ndarray
    rate: np.ndarray

    @property
    def columns(self) -> dict[str, int]:
        """The column of each target, an SCP code's without its prefix; NORM, which is both, is the superclass."""
        found: dict[str, int] = {}
        for k, name in enumerate(self.names):  # superclasses come first
            found.setdefault(name.removeprefix("scp:"), k)
        return found


def label_loss(logits: Tensor, values: Tensor, names: list[str]) -> Tensor:
    """Mean cross-entropy [] of logits [N, k] over the known targets, the superclasses and "is_ecg" counted threefold;
    values may be probabilities."""
    weight = torch.isfinite(values).float()
    weight[:, : len(SUPERCLASSES)] *= 3
    weight[:, names.index("is_ecg")] *= 3
    each = F.binary_cross_entropy_with_logits(logits.float(), torch.nan_to_num(values), reduction="none")
    return (each * weight).sum() / weight.sum()


def softened(targets: Targets, soft: np.ndarray, share: float) -> Targets:
    """The same with a teacher's probabilities `soft` [n, k] mixed in; the teacher alone where a label is unknown, the
    label alone where the teacher says nothing (NaN). "is_ecg" is certain and stays."""
    mixed = (1 - share) * targets.values + share * soft
    mixed = np.where(np.isnan(targets.values), soft, np.where(np.isnan(soft), targets.values, mixed))
    at = targets.names.index("is_ecg")
    mixed[:, at] = targets.values[:, at]
    return Targets(targets.names, mixed.astype(np.float32), targets.rate)


def build_targets(cache: DatasetCache, train: np.ndarray) -> Targets:
    """Superclasses, every SCP code and 12SL statement seen in the training rows, heart axis, and "is_ecg" (all 1)."""
    codes = Counter(code for row in train for code in cache.labels[row]["scp_codes"])
    statements = Counter(s for row in train for s in set(cache.labels[row]["sl12"]))
    common = sorted(s for s, n in statements.items() if n >= MIN_STATEMENTS)
    names = [
        *SUPERCLASSES,
        *(f"scp:{code}" for code in sorted(codes)),
        *(f"12sl:{s}" for s in common),
        *(f"axis:{axis}" for axis in AXES),
        "is_ecg",
    ]
    at = {name: k for k, name in enumerate(names)}
    values = np.zeros((len(cache), len(names)), np.float32)
    rate = np.full(len(cache), np.nan, np.float32)
    for row, label in enumerate(cache.labels):
        present = [
            *superclasses(label["scp_codes"]),
            *(f"scp:{code}" for code in label["scp_codes"]),
            *(f"12sl:{s}" for s in label["sl12"]),
            f"axis:{label['heart_axis']}",
            "is_ecg",
        ]
        values[row, [at[name] for name in present if name in at]] = 1
        if not label["heart_axis"]:
            values[row, [at[f"axis:{axis}"] for axis in AXES]] = np.nan
        if label["heart_rate"]:
            rate[row] = np.log2(label["heart_rate"] / RATE_CENTRE) / RATE_SCALE
    return Targets(names, values, rate)
