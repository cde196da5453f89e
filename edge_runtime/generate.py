"""The token loop: sample, hand over, decode, until the model or a limit says stop."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.constrain import Constraint
from edge_runtime.engines import Cache, Engine
from edge_runtime.errors import DoesNotFit
from edge_runtime.sampling import Sampler


@dataclass(frozen=True)
class Ending:
    """How an answer ended.

    token_ids: the answer, without the end token. finish_reason: "stop" (end token) or "length" (max_new_tokens reached,
    or the context is full). cache holds the prompt and the answer except for `pending`: the ids, an end token last,
    that a next turn must decode first. steps, seconds: decoder steps after the first token, and the time they took.
    """

    token_ids: list[int]
    finish_reason: str
    cache: Cache
    pending: list[int]
    steps: int
    seconds: float


def check_fits(positions: int, context_length: int) -> None:
    """Raises DoesNotFit when a prompt of so many positions leaves no room for one token of answer."""
    if positions + 1 > context_length:
        raise DoesNotFit(
            f"the image and the words take {positions} positions and the answer needs one more, but the model has "
            f"{context_length}; ask a shorter question or start again from the image"
        )


def stream(
    engine: Engine,
    logits: np.ndarray,
    cache: Cache,
    sampler: Sampler,
    eos_token_ids: Sequence[int],
    max_new_tokens: int,
    context_length: int,
    constraint: Constraint | None = None,
) -> Generator[int, None, Ending]:
    """Yield the answer's token ids as they are chosen, and return its Ending.

    logits [V] and cache are those after the prompt, which check_fits has passed. constraint: what the answer
    must be one of; its log_likelihood is complete at the end.
    """
    ids: list[int] = []
    steps, seconds = 0, 0.0
    room = min(max_new_tokens, context_length - cache.length)
    while True:
        started = time.perf_counter()
        if ids:
            logits, cache = engine.decode(engine.embed(ids[-1:]), cache)
            steps += 1
        if constraint:
            logits = constraint.mask(logits)
        token = sampler(logits)
        if constraint:
            constraint.push(token, logits)
        if ids:
            # The reader's own time between two tokens is not the model's.
            seconds += time.perf_counter() - started
        if token in eos_token_ids:
            return Ending(ids, "stop", cache, [token], steps, seconds)
        ids.append(token)
        yield token
        if len(ids) == room:
            return Ending(ids, "length", cache, [token, eos_token_ids[0]], steps, seconds)
