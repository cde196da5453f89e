"""What neighbours are worth, on records that are not in the index."""

from __future__ import annotations

import numpy as np

TOP = (1, 5, 10)


def shared(queries: np.ndarray, neighbours: np.ndarray) -> tuple[float, float]:
    """Classes bool [q, 5] of queries and [q, k, 5] of their neighbours -> share of neighbours that have a class of the
    query's, and share of those with the very same classes; queries without a class are left out."""
    known = queries.any(1)
    asked, near = queries[known][:, None], neighbours[known]
    return float((asked & near).any(-1).mean()), float((asked == near).all(-1).mean())


def recall(scores: np.ndarray) -> list[float]:
    """Scores [n, n] whose diagonal are the pairs -> share of rows whose pair is among the first TOP; a tie (two records
    of the same report) counts by its middle rank."""
    own = np.diag(scores)[:, None]
    ranks = (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
    return [float((ranks < top).mean()) for top in TOP]


def nearest(queries: np.ndarray, index: np.ndarray, k: int) -> np.ndarray:
    """Rows [q, k] of the unit vectors in the index with the greatest cosine, the nearest first."""
    return np.argsort(-(queries @ index.T), 1, kind="stable")[:, :k]


def unit(vectors: np.ndarray) -> np.ndarray:
    made: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return made
