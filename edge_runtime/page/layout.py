"""What a page layout is: which leads stand where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Rows of leads shown side by side, then full-length rhythm strips below.

    name: as commands take it. A lead "-aVR" is drawn upside down, as the Cabrera order has it. simultaneous: all
    columns show the same seconds; otherwise each goes on where the one before it ended.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    rhythm: tuple[str, ...] = ()
    simultaneous: bool = False
