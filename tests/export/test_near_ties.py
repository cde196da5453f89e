"""Where two engines' greedy answers part, and which of those places count as rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from export.certificate.near_ties import near_ties


@dataclasses.dataclass
class Parrot:
    """An engine whose logits are given: one row a position."""

    table: np.ndarray

    def embed(self, ids: list[int]) -> np.ndarray:
        return np.array(ids)[:, None]

    def decode(self, embeds: np.ndarray, cache: int) -> tuple[np.ndarray, int]:
        return self.table[cache + 1], cache + 1


def test_only_near_ties_are_forgiven() -> None:
    want = np.array([[0, 1, 2], [3, 3.01, 0], [5, 1, 0]], np.float32)
    got = np.array([[0, 1, 2], [3.02, 3, 0], [5, 1, 0]], np.float32)
    tokens = [2, 1, 0]

    def compare(bound: float) -> object:
        return near_ties((Parrot(got), got[0], 0), (Parrot(want), want[0], 0), "page", tokens, bound)

    (tie,) = compare(0.05)
    assert (tie.position, tie.token, tie.other) == (1, 1, 0)
    assert tie.margin == pytest.approx(0.01 / np.sqrt((9 + 3.01**2) / 3), abs=1e-5)  # of the logits' size
    assert compare(0.003) is None
    got[2] = [np.nan, np.nan, np.nan]
    want[2] = [5, np.nan, 0]
    assert compare(0.05) == [tie]  # argmax of NaN is the first: nothing to say here, the other stages fail


# --- the lint -------------------------------------------------------------------------------------
