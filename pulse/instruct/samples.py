"""One record of PTB-XL to one sample: its page as a JPEG, and PULSE's JSON entries about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from pulse.ecg.paper.variety import varied_page
from pulse.ecg.photo.photograph import photograph
from pulse.ecg.record import Record
from pulse.instruct.converse import Piece, conversations
from pulse.instruct.facts import Facts
from pulse.instruct.intervals import measure
from pulse.instruct.items import Known
from pulse.instruct.plan import Look
from pulse.instruct.rewrite import Rewriter

_QUALITY = 92


def page(record: Record, look: Look, rng: np.random.Generator) -> bytes:
    """The record drawn with a random look, as a JPEG."""
    drawn = varied_page(record, rng, dpi=look.dpi).image
    if rng.random() < look.photo:
        drawn = photograph(drawn, rng)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def known(record: Record, machine: Sequence[str] = ()) -> Known:
    """What the record's labels say, and what its samples measure; machine: the 12SL program's statements in words."""
    measured = measure(record).agreeing(record.scp_codes)
    return Known(Facts(record.scp_codes, record.heart_axis, measured.rate), measured, tuple(machine))


def entries(
    name: str, image: str, about: Known, count: int, rng: np.random.Generator, rewriter: Rewriter | None = None
) -> list[dict[str, Any]]:
    """`count` conversations as PULSE's JSON has them, and beside them kinds: "family form" a turn; rewritten: of each
    turn whether a language model worded it, where one was asked."""
    made = []
    for number, pieces in enumerate(conversations(about, count, rng)):
        entry: dict[str, Any] = {"id": f"{name}-{number}", "image": image}
        if rewriter:
            both = [rewriter(piece) for piece in pieces]
            pieces, entry["rewritten"] = [piece for piece, _ in both], [done for _, done in both]
        entry["conversations"] = _turns(pieces)
        entry["kinds"] = [f"{piece.family} {piece.form}" for piece in pieces]
        made.append(entry)
    return made


def _turns(pieces: Sequence[Piece]) -> list[dict[str, str]]:
    turns = []
    for number, piece in enumerate(pieces):
        turns.append({"from": "human", "value": ("" if number else "<image>\n") + piece.turn.question})
        turns.append({"from": "gpt", "value": piece.turn.answer})
    return turns
