"""What tests with odd input share: how many cases, what a field may turn into, and one line that says what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from edge_runtime.errors import UserError

CASES = 400 * int(os.environ.get("FUZZ", "1"))
often = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,  # the same cases in every run; FUZZ brings others
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# What a field may turn into.
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=12), st.just([]), st.just({}),
    st.lists(st.integers(-3, 3), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


def read_or_refuse(read: Callable[[], Any]) -> None:
    """Any error but UserError fails the test; so does a message of several lines."""
    said = "nothing"
    try:
        read()
    except UserError as error:
        said = str(error)
    assert said.strip()
    assert "\n" not in said


@st.composite
def changed(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """The JSON object with one to three of its fields, at any depth, replaced or removed."""
    data = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        place = data
        key = draw(st.sampled_from(sorted(place)))
        while isinstance(place[key], dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place)))
        if draw(st.booleans()):
            place[key] = draw(VALUES)
        else:
            del place[key]
        if not place:
            break
    return data
