"""Logits to a token. Greedy unless asked otherwise: a medical reading should not change from one run to the next."""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.errors import UserError, shorten


class Sampler:
    """Chooses the next token from logits [V].

    temperature: 0 is greedy (top_p, top_k and seed then have no effect); up to 10.
    top_k: keep the k most likely tokens, 0 keeps all. top_p: then keep the fewest tokens whose probabilities sum to
    at least top_p (nucleus sampling, arXiv 1904.09751). seed: None draws a fresh one.
    Raises UserError when a value is out of range.
    """

    def __init__(self, temperature: float = 0.0, top_p: float = 1.0, top_k: int = 0, seed: int | None = None) -> None:
        if not math.isfinite(temperature) or not 0 <= temperature <= 10:
            raise UserError(f"temperature must be from 0 (greedy) to 10, not {shorten(temperature)}")
        if not 0 < top_p <= 1:
            raise UserError(f"top-p must be above 0 and at most 1 (1 keeps every token), not {shorten(top_p)}")
        if top_k < 0:
            raise UserError(f"top-k must be 0 (keep every token) or more, not {shorten(top_k)}")
        if seed is not None and seed < 0:
            raise UserError(f"seed must be 0 or more, not {shorten(seed)}")
        self._temperature, self._top_p, self._top_k = temperature, top_p, top_k
        self._random = np.random.default_rng(seed)

    def __call__(self, logits: np.ndarray) -> int:
        """The id of the next token. Raises UserError when the model's logits are not numbers."""
        if np.isnan(logits).any():
            raise UserError("the decoder returned logits that are not numbers; the bundle is faulty, export it again")
        if self._temperature == 0:
            return int(np.argmax(logits))
        probabilities = self.probabilities(logits)
        # choice() wants float64 that sums to one; the loss is far below sampling noise.
        return int(self._random.choice(len(probabilities), p=probabilities))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The distribution that is drawn from, float64 [V], for a temperature above 0."""
        scaled = logits.astype(np.float64) / self._temperature
        order = np.argsort(-scaled, kind="stable")
        weights = np.exp(scaled[order] - scaled[order[0]])
        if self._top_k:
            weights[self._top_k :] = 0
        weights /= weights.sum()
        # A token stays while those before it have not reached top_p: the most likely one always stays.
        weights[np.cumsum(weights) - weights >= self._top_p] = 0
        result = np.zeros_like(weights)
        result[order] = weights / weights.sum()
        return result


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float64 [V], of logits [V]."""
    shifted = logits.astype(np.float64) - float(np.max(logits))
    return shifted - math.log(float(np.exp(shifted).sum()))
