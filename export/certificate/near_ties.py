"""Greedy answers that part at a near tie: rounding decides between two tokens that the model finds equally likely.

After such a token the two answers go on from different texts and cannot be compared. So both sides read the reference's
answer, and every place where the bundle would have chosen another token is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.engines import Cache, Engine


@dataclass(frozen=True)
class NearTie:
    """The bundle prefers `other` to the reference's `token`, whose logit is higher in the reference by `margin` times
    the root mean square of its logits there: noise in logits grows with the logits, and so must what it may decide."""

    page: str
    position: int
    token: int
    other: int
    margin: float


def near_ties(
    ours: tuple[Engine, np.ndarray, Cache],
    theirs: tuple[Engine, np.ndarray, Cache],
    page: str,
    tokens: Sequence[int],
    bound: float,
) -> list[NearTie] | None:
    """Where the bundle differs from the reference's `tokens`, or None when one of the margins is above `bound`.

    ours, theirs: engine, logits [V] and cache after the prompt. tokens: the reference's answer with its end token.
    """
    (engine, got, cache), (reference, want, past) = ours, theirs
    ties = []
    for position, token in enumerate(tokens):
        if position:
            got, cache = engine.decode(engine.embed(tokens[position - 1 : position]), cache)
            want, past = reference.decode(reference.embed(tokens[position - 1 : position]), past)
        other = int(got.argmax())
        if other != token:
            margin = float((want[token] - want[other]) / np.sqrt(np.square(want).mean()))
            if not margin <= bound:
                return None
            ties.append(NearTie(page, position, token, other, margin))
    return ties
