"""Findings learnt from a few marked pages: a linear head on what the vision tower says of a page.

The head is a linear discriminant whose covariance is that of the tower's features on many unlabelled pages, shrunk
towards its diagonal (Friedman 1989, doi:10.1080/01621459.1989.10478752): 1 to 20 pages can say where a class lies, but
not how features vary. The idea to add a task from a few examples to a model of ECGs is ECG-LM's (arXiv 2410.14464).
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.fields import Fields
from edge_runtime.files import replacing

SHRINKAGE = 0.1
# The weight of the background beside pages that are marked 0 and look like it: as if it were so many of them.
BACKGROUND_PAGES = 20
# Below so many pages with a finding the share of them that is found is no figure.
FEWEST = 10
# What the mean score of unseen pages with a finding is at least, as a share of that of the marked ones.
_LEAST = 0.1


@dataclass(frozen=True)
class Learnt:
    """A head: log odds = weights [D] . page_features + offset, where as many pages have the finding as have not.

    positives, negatives: how many pages were marked so. examples: the SHA-256 of each page's file.
    """

    weights: tuple[float, ...]
    offset: float
    positives: int
    negatives: int
    examples: tuple[str, ...]

    def log_odds(self, features: np.ndarray) -> float:
        """Of a page's features [D]."""
        return float(np.dot(np.asarray(self.weights), features) + self.offset)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "weights": list(self.weights), "examples": list(self.examples)}

    @classmethod
    def from_fields(cls, fields: Fields, width: int) -> Learnt:
        """Read and check a manifest's head for features of `width`. Raises UserError naming the first wrong field."""
        values = fields.data.get("weights")
        if not isinstance(values, list) or len(values) != width or not all(map(_is_number, values)):
            raise UserError(f"{fields.where}: weights must be {width} numbers; {fields.fix}")
        counts = fields.integer("positives", 1), fields.integer("negatives", 0)
        return cls(tuple(map(float, values)), fields.number("offset"), *counts, fields.texts("examples"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def told(name: str, examples: int) -> str:
    """A finding's name as users read it; examples: how many pages with it a head was learnt from, 0 for any other."""
    return f"{name} (learnt from {examples} example{'s' * (examples != 1)})" if examples else name


def page_features(tokens: np.ndarray) -> np.ndarray:
    """float32 [D]: the mean of a page's image tokens [T, D]."""
    pooled: np.ndarray = tokens.mean(0, dtype=np.float64).astype(np.float32)
    return pooled


@dataclass(frozen=True)
class Background:
    """How features vary over many unlabelled pages: mean [D], covariance [D, D]. model: the SHA-256 of the checkpoint
    whose tower gave them; pages: how many."""

    mean: np.ndarray
    covariance: np.ndarray
    model: str
    pages: int

    @classmethod
    def of(cls, features: np.ndarray, model: str) -> Background:
        """Of features [n, D]. Raises UserError for fewer than two pages."""
        if len(features) < 2:
            raise UserError("a background needs two pages or more; give more")
        covariance = np.atleast_2d(np.cov(features.astype(np.float64), rowvar=False))
        return cls(features.mean(0, dtype=np.float64), covariance, model, len(features))

    @classmethod
    def load(cls, path: Path) -> Background:
        """Raises UserError for a file that is none."""
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {name: data[name] for name in ("mean", "covariance", "model", "pages")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: is no background; write one with pulse-bench fewshot --background") from error
        mean, covariance = (arrays[name].astype(np.float64) for name in ("mean", "covariance"))
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not np.isfinite(covariance).all():
            raise UserError(f"{path}: is no background; write one with pulse-bench fewshot --background")
        return cls(mean, covariance, str(arrays["model"]), int(arrays["pages"]))

    def save(self, path: Path) -> None:
        """Write it as NAME.npz, the covariance in float16."""
        with replacing(path) as aside, open(aside, "wb") as file:
            mean, covariance = self.mean.astype(np.float32), self.covariance.astype(np.float16)
            np.savez_compressed(
                file, mean=mean, covariance=covariance, model=np.array(self.model), pages=np.array(self.pages)
            )


@dataclass(frozen=True)
class Fitted:
    """A head, and how leave-one-out judged its own examples: log odds [positives], [negatives]; NaN for a single
    positive."""

    head: Learnt
    positives: np.ndarray
    negatives: np.ndarray

    @property
    def sensitivity(self) -> float | None:
        """Share of the marked pages that is found when it is left out; None for fewer than FEWEST."""
        return float((self.positives >= 0).mean()) if len(self.positives) >= FEWEST else None


def fit(background: Background, positives: np.ndarray, negatives: np.ndarray, examples: tuple[str, ...] = ()) -> Fitted:
    """A head from features [K, D] of pages with the finding and [M, D] of pages without it; M may be 0."""
    scale = np.sqrt(np.maximum(np.diag(background.covariance), 1e-12))
    correlation = background.covariance / np.outer(scale, scale)
    size = len(scale)
    inverse = np.linalg.inv((1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(size))
    there, absent = ((np.asarray(x, np.float64) - background.mean) / scale for x in (positives, negatives))
    weights, centre, slope = _discriminant(there, absent, inverse, correlation)
    unscaled = slope * weights / scale
    head = Learnt(
        tuple(float(f"{w:.6g}") for w in unscaled),
        float(-slope * centre - unscaled @ background.mean),
        len(there),
        len(absent),
        examples,
    )
    own = [
        _log_odds(x, _discriminant(np.delete(there, i, 0), absent, inverse, correlation))
        if len(there) > 1
        else math.nan
        for i, x in enumerate(there)
    ]
    other = [
        _log_odds(x, _discriminant(there, np.delete(absent, i, 0), inverse, correlation)) for i, x in enumerate(absent)
    ]
    return Fitted(head, np.array(own), np.array(other))


_Discriminant = tuple[np.ndarray, float, float]


def _log_odds(page: np.ndarray, found: _Discriminant) -> float:
    weights, centre, slope = found
    return float(slope * (page @ weights - centre))


def _without(absent: np.ndarray) -> np.ndarray:
    """Where pages without the finding lie [D], in standard deviations from the background, of those marked 0 [M, D].

    Pages of another camera lie apart from the background, the more of them the surer: empirical Bayes (Efron and Morris
    1973, doi:10.1080/01621459.1973.10481350), with a floor for the variance between cameras.
    """
    count = len(absent)
    if not count:
        return np.zeros(absent.shape[1])
    mean: np.ndarray = absent.mean(0)
    between = max(float((mean**2).mean()) - 1 / count, 1 / BACKGROUND_PAGES)
    return mean * (count * between / (1 + count * between))


def _discriminant(there: np.ndarray, absent: np.ndarray, inverse: np.ndarray, correlation: np.ndarray) -> _Discriminant:
    """Weights [D], the score halfway between pages with and without the finding, and log odds per score."""
    away = _without(absent)
    mean, count = there.mean(0), len(there)
    weights = inverse @ (mean - away)
    marked, without = float(weights @ mean), float(weights @ away)
    # Its own examples flatter a head: what others score leaves the pairs of a page with itself out.
    own = np.einsum("nd,de,ne->", there, inverse, there) / count if count > 1 else np.trace(inverse @ correlation)
    flattery = (own - mean @ inverse @ mean) / max(count - 1, 1)
    expected = max(marked - (flattery if count > 1 else own), without + _LEAST * (marked - without))
    variance = max(float(weights @ correlation @ weights), 1e-12)
    return weights, (expected + without) / 2, (expected - without) / variance
