"""The file that edge_runtime.similar reads: the network, and of every case its vector, id, statements and report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from distill.retrieval.data import Records, Seen, Words
from distill.retrieval.scoring import unit
from distill.retrieval.training import Embedding

REPORT = 2.0  # chosen on fold 9
_SEX = {"male": 1, "female": 2}


def case_arrays(
    net: Embedding, words: Words, seen: Seen, records: Records, model: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The file's arrays, and the rows [n] of their records. model: the digest of the checkpoint whose tower saw them.

    A case lies between its page (the mean of its views) and its report, nearer to the report: what was written of a
    record counts REPORT times what the tower sees of it. A query has its page alone."""
    rows, places = np.unique(seen.rows, return_inverse=True)
    with torch.no_grad():
        pages = np.zeros((len(rows), net.second.out_features), np.float32)
        np.add.at(pages, places, net.pages(torch.from_numpy(seen.pooled)).numpy())
        reports = net.reports(words([records.reports[row] for row in rows])).numpy()
    labels = [records.labels[row] for row in rows]
    codes = [" ".join(label["scp_codes"]) for label in labels]
    return {
        **net.arrays(),
        "vectors": np.rint(127 * unit(unit(pages) + REPORT * reports)).astype(np.int8),
        "ids": np.array([label["ecg_id"] for label in labels], np.int32),
        "age": np.array([-1 if label["age"] is None else label["age"] for label in labels], np.int8),
        "sex": np.array([_SEX.get(label["sex"], 0) for label in labels], np.int8),
        "codes": _lines(codes),
        "reports": _lines([records.reports[row] for row in rows]),
        "model": np.array(model),
    }, rows


def _lines(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), np.uint8)
