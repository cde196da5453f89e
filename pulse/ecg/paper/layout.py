"""What a page layout is: which leads stand where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Rows of leads shown side by side, then full-length rhythm strips below.

    name: as commands take it. share: how often a varied page of the training has it, 0 never; those of all layouts add
    up to 1.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    rhythm: tuple[str, ...] = ()
    share: float = 0.0
