"""A functional cache over a decoder that keeps keys and values in its own, mutable state.

Core ML (MLState) and ExecuTorch (mutable buffers) hold one cache inside the model and overwrite it. The session treats
caches as values: every finding is scored from the same cached image. The rule that brings both together:

- The state is indexed by position, and position p is only looked at from p on (causal mask). So going back to the first
  n positions costs nothing: what lies behind them is overwritten before it is seen again.
- A cache remembers the embeddings it was made from. When the state no longer holds them, because another
  continuation of the same prefix overwrote them, they are decoded again from where the two part.

An answer thus never comes from another cache's keys; the price of going back to an overwritten branch is time.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np

from edge_runtime.engines import Cache

# Room beyond what is decoded at once, in positions: an answer's next tokens find it, and a 7B's float32 cache, 1 MiB a
# position, stays near its need.
_SLACK = 128


def room_for(positions: int, had: int, most: int) -> int:
    """Positions that a cache gets which has room for `had`, needs `positions`, and never holds more than `most`.

    It follows the request, and not the whole context because a model has it; an answer grows it now and then.
    """
    return min(positions + max(_SLACK, had // 8), max(positions, most))


@dataclass(frozen=True, eq=False)
class History:
    """What was decoded, as a chain of steps. depth: steps in the chain; length: positions in it."""

    owner: object
    before: History | None
    embeds: np.ndarray  # [S, D], the last step's
    depth: int
    length: int


class StatefulDecoder:
    """Engine.empty_cache and Engine.decode on top of one state.

    step(embeds [S, D], position) writes S positions of the state, from `position` on, and returns the logits [V] of the
    last one. It is given at most `limit` positions at once.
    """

    def __init__(self, step: Callable[[np.ndarray, int], np.ndarray], limit: int) -> None:
        self._step, self._limit = step, limit
        self._held: list[History] = []  # the chain whose positions the state holds now

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return History(self, None, np.zeros((0, 0), np.float32), 0, 0)

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        if not isinstance(cache, History) or cache.owner is not self:
            raise TypeError(f"the cache of another engine: {type(cache).__name__}")
        if len(embeds) == 0:
            raise ValueError("decode needs at least one position")
        # A copy: the caller may use its array again, and this one may be needed to decode the step anew.
        new = History(self, cache, np.array(embeds, np.float32), cache.depth + 1, cache.length + len(embeds))
        missing, node = [new], cache
        while node.before is not None and not self._holds(node):
            missing.append(node)
            node = node.before
        # First, so that a step that is broken off leaves nothing behind that looks valid.
        del self._held[node.depth :]
        missing.reverse()
        rows = np.concatenate([step.embeds for step in missing])
        for start in range(0, len(rows), self._limit):
            logits = self._step(rows[start : start + self._limit], node.length + start)
        self._held += missing
        return logits, new

    def _holds(self, node: History) -> bool:
        return node.depth <= len(self._held) and self._held[node.depth - 1] is node


def decoder_artifacts(artifacts: Container[str]) -> list[str]:
    """The decoder's artifacts in order: "decoder_0", "decoder_1" ... when it is split by layers, otherwise none."""
    names: list[str] = []
    while (name := f"decoder_{len(names)}") in artifacts:
        names.append(name)
    return names
