"""A functional cache over one overwritten state: every answer is that of its own history, and nothing is done twice."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.stateful import History, StatefulDecoder

CONTEXT, LIMIT = 64, 5


class Machine:
    """A decoder whose state is a row a position, and whose logits are a mark of all rows it may look at."""

    def __init__(self) -> None:
        self.state = np.zeros((CONTEXT, 2), np.float32)
        self.calls: list[tuple[int, int]] = []
        self.broken = False

    def step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        assert 0 < len(embeds) <= LIMIT
        self.calls.append((position, len(embeds)))
        self.state[position : position + len(embeds)] = embeds
        if self.broken:
            raise KeyboardInterrupt
        return mark(self.state[: position + len(embeds)])

    @property
    def decoded(self) -> int:
        return sum(length for _, length in self.calls)


def mark(rows: np.ndarray) -> np.ndarray:
    """Different for every order and value of rows."""
    return (rows * (1 + np.arange(len(rows)))[:, None]).sum(0)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def decoder(machine: Machine) -> StatefulDecoder:
    return StatefulDecoder(machine.step, LIMIT)


def rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_questions_answers_from_its_own_history(
    seed: int, decoder: StatefulDecoder, machine: Machine
) -> None:
    draw = np.random.default_rng(seed)
    known: list[tuple[History, np.ndarray]] = [(decoder.empty_cache(), np.zeros((0, 2), np.float32))]
    for step in range(60):
        cache, history = known[draw.integers(len(known))]
        new = rows(int(draw.integers(1, 8)), 1000 * seed + step)
        if cache.length + len(new) > CONTEXT:
            continue
        logits, after = decoder.decode(new, cache)
        whole = np.concatenate([history, new])
        assert np.array_equal(logits, mark(whole))
        assert after.length == len(whole)
        known.append((after, whole))


def test_going_back_to_a_prefix_costs_only_the_new_positions(decoder: StatefulDecoder, machine: Machine) -> None:
    _, image = decoder.decode(rows(9, 0), decoder.empty_cache())
    assert machine.calls == [(0, 5), (5, 4)]  # in pieces of at most LIMIT
    for question in range(1, 4):
        machine.calls.clear()
        _, asked = decoder.decode(rows(3, question), image)
        decoder.decode(rows(1, 10 + question), asked)
        assert machine.calls == [(9, 3), (12, 1)]


def test_going_on_with_an_overwritten_branch_decodes_it_anew_from_the_fork(
    decoder: StatefulDecoder, machine: Machine
) -> None:
    first, second, last = rows(4, 1), rows(4, 2), rows(1, 3)
    prefix = rows(6, 0)
    _, image = decoder.decode(prefix, decoder.empty_cache())
    _, answer = decoder.decode(first, image)
    decoder.decode(second, image)  # overwrites the answer's positions
    machine.calls.clear()
    logits, _ = decoder.decode(last, answer)
    assert np.array_equal(logits, mark(np.concatenate([prefix, first, last])))
    assert machine.decoded == 4 + 1
    assert machine.calls[0][0] == 6


def test_a_step_that_was_broken_off_leaves_nothing_valid_behind(decoder: StatefulDecoder, machine: Machine) -> None:
    prefix, lost, kept = rows(3, 0), rows(2, 1), rows(2, 2)
    _, image = decoder.decode(prefix, decoder.empty_cache())
    _, answer = decoder.decode(kept, image)
    machine.broken = True
    with pytest.raises(KeyboardInterrupt):
        decoder.decode(lost, image)
    machine.broken = False
    logits, _ = decoder.decode(rows(1, 3), answer)
    assert np.array_equal(logits, mark(np.concatenate([prefix, kept, rows(1, 3)])))


def test_the_callers_array_may_change_afterwards(decoder: StatefulDecoder) -> None:
    mine = rows(4, 0)
    before = mine.copy()
    _, image = decoder.decode(mine, decoder.empty_cache())
    mine[:] = 0
    _, other = decoder.decode(rows(4, 1), decoder.empty_cache())
    logits, _ = decoder.decode(rows(1, 2), image)
    assert np.array_equal(logits, mark(np.concatenate([before, rows(1, 2)])))
    assert other.length == 4


def test_wrong_use_is_refused(decoder: StatefulDecoder, machine: Machine) -> None:
    with pytest.raises(TypeError, match="another engine"):
        decoder.decode(rows(1, 0), StatefulDecoder(machine.step, LIMIT).empty_cache())
    with pytest.raises(ValueError, match="at least one"):
        decoder.decode(rows(0, 0), decoder.empty_cache())
