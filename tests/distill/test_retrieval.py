"""The embedding of similar cases: figures by hand, and a training that finds which pages are alike."""

from __future__ import annotations

import numpy as np
import pytest

from distill.retrieval.__main__ import main
from distill.retrieval.data import Records, Seen, Words
from distill.retrieval.index import case_arrays
from distill.retrieval.scoring import nearest, recall, shared, unit
from distill.retrieval.table import table
from distill.retrieval.training import Settings, train
from edge_runtime.similar import CaseIndex

KINDS, EACH = 4, 12


@pytest.fixture(scope="module")
def trained():
    """Pages of four kinds of record in 16 dimensions, half of them noise; the report names the kind."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(KINDS), EACH)
    pooled = rng.normal(0, 3, (len(kind), 16)).astype(np.float32)
    pooled[:, :8] = 0.3 * pooled[:, :8]
    pooled[np.arange(len(kind)), kind] += 3
    labels = [
        {"ecg_id": 10 + i, "age": None if i else 90, "sex": "female", "scp_codes": {"NORM": 100.0}} for i in range(48)
    ]
    reports = [f"kind{'abcd'[k]} of page" for k in kind]
    marks = kind[:, None] == np.arange(KINDS)
    records = Records(labels, reports, marks, marks)
    seen, words = Seen(pooled, np.arange(len(kind))), Words(reports)
    settings = Settings(steps=60, batch=32, hidden=32, width=8, peak=1e-2)
    return train(seen, records, words, settings), words, seen, records, settings, kind


def test_pages_of_a_kind_become_neighbours_and_the_file_gives_the_runtime_the_same_vectors(trained, tmp_path):
    net, words, seen, records, _, kind = trained
    arrays, rows = case_arrays(net, words, seen, records, "weights")
    np.savez(tmp_path / "cases.npz", **arrays)
    index = CaseIndex(tmp_path / "cases.npz")
    assert index.model == "weights"
    found = nearest(index.embed(seen.pooled), unit(index.vectors.astype(np.float32)), 5)
    assert (kind[rows[found]] == kind[:, None]).mean() > 0.95
    raw = nearest(unit(seen.pooled), unit(seen.pooled), 6)[:, 1:]
    assert (kind[raw] == kind[:, None]).mean() < 0.7  # what the noise hides without training
    case = index.nearest(seen.pooled[0], 1)[0]
    assert case.report == "kinda of page"
    assert (case.sex, case.statements) == ("female", ("NORM",))
    assert "shared" in table(index, rows, net, words, seen, seen, records)


def test_the_same_seed_gives_the_same_file_and_another_another(trained):
    net, words, seen, records, settings, _ = trained
    again = case_arrays(train(seen, records, words, settings), words, seen, records, "weights")[0]
    first = case_arrays(net, words, seen, records, "weights")[0]
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_figures_by_hand():
    queries = np.array([[1, 0], [1, 1], [0, 0]], bool)
    near = np.array([[[1, 0], [0, 1]], [[1, 1], [0, 1]], [[0, 0], [0, 0]]], bool)
    assert shared(queries, near) == (0.75, 0.5)  # the query without a class does not count
    scores = np.array([[3.0, 1, 2], [5, 4, 3], [1, 1, 1]])  # ranks 0, 1, and 1 of a tie
    assert recall(scores) == pytest.approx([1 / 3, 1, 1])


def test_rare_words_are_no_part_of_a_report_and_a_report_of_none_has_the_last_number():
    words = Words(["sinus rhythm"] * 5 + ["seldom"])
    assert len(words) == 4  # sinus, rhythm, the pair, and none of them
    assert words(["Sinus rhythm", "seldom"])[1] == [3]


def test_wrong_use_is_one_line(tmp_path, capsys):
    assert main(["--run", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "no" / "cases.npz")]) == 2
    assert "its folder does not exist" in capsys.readouterr().err
    assert main(["--run", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "c.npz")]) == 2
    assert "holds no dataset cache" in capsys.readouterr().err
