"""Similar cases: the nearest vectors win, and what is no index, or of another tower, is refused in one line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.ask import main
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from edge_runtime.similar import CaseIndex, pooled

WIDTH, D = 3, 4
EXAMPLES = Path(__file__).resolve().parents[2] / "demo_app" / "examples"


def index_arrays(vectors):
    """An index whose network hands the first D of 2 * WIDTH pooled values on."""
    n = len(vectors)
    return {
        "mean": np.zeros(2 * WIDTH), "scale": np.ones(2 * WIDTH),
        "w1": np.eye(2 * WIDTH), "b1": np.zeros(2 * WIDTH), "w2": np.eye(2 * WIDTH)[:, :D], "b2": np.zeros(D),
        "vectors": np.array(vectors, np.int8), "ids": np.arange(100, 100 + n), "age": np.full(n, -1, np.int8),
        "sex": np.ones(n, np.int8), "codes": np.frombuffer("\n".join(["NORM SR"] * n).encode(), np.uint8),
        "reports": np.frombuffer("\n".join(f"größe {i}" for i in range(n)).encode(), np.uint8),
        "model": np.array("weights"),
    }  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(arrays):
        np.savez(tmp_path / "cases.npz", **arrays)
        return tmp_path / "cases.npz"

    return write


def test_the_nearest_come_first_with_their_cosine_whatever_the_rounding_made_of_their_lengths(write):
    index = CaseIndex(write(index_arrays([[127, 0, 0, 0], [20, 20, 0, 0], [0, 0, 0, 127]])))
    found = index.nearest(np.array([2.0, 1.0, 0, 0, 5, 5]), 2)
    assert [case.record for case in found] == [101, 100]
    assert found[0].similarity == pytest.approx(3 / np.sqrt(10), abs=1e-6)
    assert found[1].similarity == pytest.approx(2 / np.sqrt(5), abs=1e-6)
    assert (found[0].report, found[0].statements) == ("größe 1", ("NORM", "SR"))
    assert (found[0].age, found[0].sex) == (None, "male")


def test_pooled_is_the_first_token_beside_the_mean_of_the_others():
    assert pooled(np.array([[1, 2], [3, 4], [5, 6]])).tolist() == [1, 2, 4, 5]
    assert pooled(np.array([[1, 2]])).tolist() == [1, 2, 1, 2]


def test_another_towers_width_a_k_of_none_and_a_file_that_is_no_index_are_refused(write, tmp_path):
    index = CaseIndex(write(index_arrays([[127, 0, 0, 0]])))
    with pytest.raises(UserError, match="a tower of width 3, not 7"):
        index.nearest(np.zeros(14), 1)
    with pytest.raises(UserError, match="ask for 1 or more"):
        index.nearest(np.zeros(6), 0)
    short = index_arrays([[127, 0, 0, 0]])
    short["ids"] = np.arange(2)
    with pytest.raises(UserError, match="different lengths"):
        CaseIndex(write(short))
    (tmp_path / "text").write_text("no index")
    with pytest.raises(UserError, match="is no index of cases"):
        CaseIndex(tmp_path / "text")


def test_a_bundle_without_cases_says_so(session):
    page = session.look(Image.new("L", (48, 32), 200))
    with pytest.raises(UserError, match="this bundle has no similar cases"):
        page.similar(3)


def test_the_shipped_index_has_no_record_twice_and_answers_a_page():
    session = Session.of(Bundle.load("pulse-nano"))
    cases = session.cases
    assert len(set(cases.ids.tolist())) == len(cases) > 16_000
    assert cases.vectors.dtype == np.int8
    seen = np.random.default_rng(0).normal(size=2 * session.inference.model.hidden_size).astype(np.float32)
    started = time.thread_time()
    found = cases.nearest(seen, 5)
    assert time.thread_time() - started < 2  # a query; the figure itself is measured, not tested
    assert [case.similarity for case in found] == sorted((case.similarity for case in found), reverse=True)
    assert all("CC BY 4.0" in case.source and case.report for case in found)


def test_pulse_ask_prints_cases_with_their_source_and_has_them_in_json(capsys):
    asked = ["pulse-nano", str(EXAMPLES / "b-normal.jpg"), "--similar", "2", "--no-measure", "--no-findings"]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["similar"]
    assert len(told) == 2
    assert "NORM" in told[0]["statements"]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert f"record {told[0]['record']} of {told[0]['source']}" in printed
    assert main([*asked[:3], "0"]) == 2
    assert "ask for 1 or more" in capsys.readouterr().err
