"""The token loop's edges: the last position of the context, and whose time is counted."""

from __future__ import annotations

import time

import pytest

from edge_runtime.errors import UserError
from edge_runtime.generate import check_fits, stream
from edge_runtime.sampling import Sampler


def test_a_prompt_fits_if_one_token_can_follow():
    check_fits(95, 96)
    for positions in (96, 97):
        with pytest.raises(UserError, match=f"take {positions} positions and the answer needs one more"):
            check_fits(positions, 96)


def drain(steps, pause=0.0):
    ids = []
    while True:
        try:
            ids.append(next(steps))
            time.sleep(pause)
        except StopIteration as stop:
            return ids, stop.value


def test_time_of_the_reader_is_not_the_model_s(tiny, session):
    logits, cache = session.engine.decode(session.engine.embed([5, 6]), session.engine.empty_cache())
    ids, ending = drain(stream(session.engine, logits, cache, Sampler(), [1], 4, 96), pause=0.1)
    assert ids == ending.token_ids == tiny.twin.greedy(tiny.twin.embed([5, 6]), 4)
    assert ending.steps == 3
    assert 0 < ending.seconds < 0.2


def test_end_token_at_once_is_an_empty_answer(tiny, session):
    logits, cache = session.engine.decode(session.engine.embed([5, 6]), session.engine.empty_cache())
    first = tiny.twin.greedy(tiny.twin.embed([5, 6]), 1)[0]
    ids, ending = drain(stream(session.engine, logits, cache, Sampler(), [1, first], 4, 96))
    assert (ids, ending.finish_reason, ending.pending, ending.steps) == ([], "stop", [first], 0)
    assert ending.cache is cache
