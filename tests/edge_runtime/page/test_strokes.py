"""What grows from the end of a tall run over the columns beside it is the rest of its stroke."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.page.digitizer.follow import Path
from edge_runtime.page.digitizer.runs import MOST, NOWHERE, Runs
from edge_runtime.page.digitizer.strokes import with_tips

COLUMN = 5


def page(runs):
    """Runs of (column, number, top, bottom)."""
    top, bottom = np.full((11, MOST), NOWHERE, np.float32), np.full((11, MOST), -NOWHERE, np.float32)
    for column, number, high, low in runs:
        top[column, number], bottom[column, number] = high, low
    return Runs(top, bottom)


def path(*taken):
    run = np.full((1, 11), -1)
    for column, number in taken:
        run[0, column] = number
    return Path(run)


@pytest.mark.parametrize("aside", [-1, 1])
def test_a_tip_that_leans_is_counted_where_it_grew_from(aside):
    runs = page([(COLUMN, 0, 100, 120), (COLUMN + aside, 0, 90, 104), (COLUMN + 2 * aside, 1, 80, 92)])
    top, bottom = with_tips(runs, path((COLUMN, 0)))
    assert (top[0, COLUMN], bottom[0, COLUMN]) == (80, 120)
    assert np.isnan(np.delete(top[0], COLUMN)).all()


def test_a_downward_tip_is_counted_too():
    top, bottom = with_tips(page([(COLUMN, 0, 100, 120), (COLUMN + 1, 0, 118, 131)]), path((COLUMN, 0)))
    assert (top[0, COLUMN], bottom[0, COLUMN]) == (100, 131)


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param([(COLUMN + 1, 0, 60, 90)], id="apart from the stroke"),
        pytest.param([(COLUMN + 2, 0, 90, 104)], id="beyond a column without ink"),
        pytest.param([(COLUMN + 1, 0, 99.5, 104)], id="no further than the stroke"),
    ],
)
def test_what_is_no_tip_is_left_out(beside):
    top, bottom = with_tips(page([(COLUMN, 0, 100, 120), *beside]), path((COLUMN, 0)))
    assert (top[0, COLUMN], bottom[0, COLUMN]) == (100, 120)


def test_another_curves_run_and_a_low_run_are_no_strokes():
    taken = page([(COLUMN, 0, 100, 120), (COLUMN + 1, 0, 90, 104), (0, 0, 100, 104), (1, 0, 95, 102)])
    top, _ = with_tips(taken, path((COLUMN, 0), (COLUMN + 1, 0), (0, 0)))
    assert (top[0, COLUMN], top[0, 0]) == (100, 100)
