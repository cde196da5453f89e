"""What a run of pulse-instruct makes, as its command asks for it: light, so that the command can list the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulse.instruct.endpoint import Endpoint


@dataclass(frozen=True)
class Look:
    """dpi of a page of about 272 x 192 mm; photo: share of the pages that are photographed (ECGInstruct: half)."""

    dpi: float = 101.6
    photo: float = 0.5


@dataclass(frozen=True)
class Plan:
    """folds of PTB-XL (9 and 10 are for choosing and testing); count: conversations a record; limit: only the first so
    many records, 0 all. rewrite: who words the answers anew; its answers are as repeatable as it is."""

    folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    count: int = 6
    seed: int = 1
    per_shard: int = 500
    limit: int = 0
    look: Look = field(default_factory=Look)
    rewrite: Endpoint | None = None
