"""The measured table: neighbours beside those of the tower's own features, recall between ECG and report, time."""

from __future__ import annotations

import time

import numpy as np
import torch

from distill.retrieval.data import Records, Seen, Words
from distill.retrieval.scoring import TOP, nearest, recall, shared, unit
from distill.retrieval.training import Embedding
from edge_runtime.similar import CaseIndex

_K = 5


def table(
    index: CaseIndex, rows: np.ndarray, net: Embedding, words: Words, seen: Seen, plain: Seen, records: Records
) -> str:
    """Lines of text. rows: the records of the index; plain: the validation records' pages, which are the queries."""
    asked = records.classes[plain.rows]

    def line(name: str, queries: np.ndarray, cases: np.ndarray) -> str:
        near = records.classes[rows[nearest(unit(queries), unit(cases), _K)]]
        return "{:44}{:8.1%}{:8.1%}".format(name, *shared(asked, near))

    raw = np.zeros((len(rows), seen.pooled.shape[1]), np.float32)
    np.add.at(raw, np.searchsorted(rows, seen.rows), seen.pooled)
    pages = index.embed(plain.pooled)
    with torch.no_grad():
        reports = net.reports(words([records.reports[row] for row in plain.rows])).numpy()
    scores = pages @ reports.T
    return "\n".join([
        f"{int(asked.any(1).sum())} queries with a superclass of {len(asked)}, {len(rows)} cases; of {_K} neighbours:",
        f"{'':44}{'shared':>8}{'same':>8}",
        line("tower's features, cosine", plain.pooled, raw),
        line("the index", pages, index.vectors.astype(np.float32)),
        f"recall at {', '.join(map(str, TOP))} among {len(asked)} pairs (chance: {1 / len(asked):.2%} at 1)",
        _recall("ECG to report", scores),
        _recall("report to ECG", scores.T),
        f"a query: {_milliseconds(index, plain.pooled):.1f} ms",
    ])  # fmt: skip


def _recall(name: str, scores: np.ndarray) -> str:
    return f"{name:44}" + "".join(f"{share:8.1%}" for share in recall(scores))


def _milliseconds(index: CaseIndex, pooled: np.ndarray) -> float:
    """The median of a hundred queries, or of as many as there are."""
    spent = []
    for seen in pooled[:100]:
        started = time.perf_counter()
        index.nearest(seen, _K)
        spent.append(1e3 * (time.perf_counter() - started))
    return float(np.median(spent))
