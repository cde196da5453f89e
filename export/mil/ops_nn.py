"""Operations with arithmetic across elements: matrices, attention, norms, reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from export.mil.registry import OPERATIONS, op


@op("linear")
def linear(*, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """x [..., K], weight [N, K] -> [..., N]."""
    y = x @ weight.T
    return y if bias is None else y + bias


@op("matmul")
def matmul(
    *,
    x: np.ndarray,
    y: np.ndarray,
    transpose_x: np.ndarray | bool = False,
    transpose_y: np.ndarray | bool = False,
) -> np.ndarray:
    return (x.swapaxes(-1, -2) if transpose_x else x) @ (y.swapaxes(-1, -2) if transpose_y else y)


@op("scaled_dot_product_attention")
def attention(
    *, query: np.ndarray, key: np.ndarray, value: np.ndarray, attn_mask: np.ndarray | None = None
) -> np.ndarray:
    """softmax(query key^T / sqrt(E) + mask) value; a bool mask is True where a position may look."""
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(np.float32(query.shape[-1]))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    return softmax(x=scores) @ value


@op("softmax")
def softmax(*, x: np.ndarray, axis: np.ndarray | int = -1) -> np.ndarray:
    shares = np.exp(x - x.max(int(axis), keepdims=True))
    return shares / shares.sum(int(axis), keepdims=True)


@op("layer_norm")
def layer_norm(
    *,
    x: np.ndarray,
    axes: np.ndarray | None = None,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    epsilon: np.ndarray | float = 1e-5,
) -> np.ndarray:
    over = tuple(range(x.ndim)) if axes is None else tuple(axes.tolist())
    centred = x - x.mean(over, keepdims=True)
    y = centred / np.sqrt(np.square(centred).mean(over, keepdims=True) + epsilon)
    return y * (1 if gamma is None else gamma) + (0 if beta is None else beta)


@op("batch_norm")
def batch_norm(
    *,
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    epsilon: np.ndarray | float = 1e-5,
) -> np.ndarray:
    """x [N, C, ...], the rest [C]."""
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    shift = (0 if beta is None else beta) - mean * scale
    return x * _channels(scale, x.ndim) + _channels(shift, x.ndim)


@op("instance_norm")
def instance_norm(
    *,
    x: np.ndarray,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    epsilon: np.ndarray | float = 1e-5,
) -> np.ndarray:
    y = layer_norm(x=x, axes=np.arange(2, x.ndim), epsilon=epsilon)
    return y * (1 if gamma is None else _channels(gamma, x.ndim)) + (0 if beta is None else _channels(beta, x.ndim))


@op("l2_norm")
def l2_norm(*, x: np.ndarray, epsilon: np.ndarray | float = 1e-6) -> np.ndarray:
    """Over the last three axes."""
    return x / np.sqrt(np.square(x).sum((-3, -2, -1), keepdims=True) + epsilon)


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_mean": np.mean,
    "reduce_sum": np.sum,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_l1_norm": lambda x, over, keepdims: np.abs(x).sum(over, keepdims=keepdims),
    "reduce_l2_norm": lambda x, over, keepdims: np.sqrt(np.square(x).sum(over, keepdims=keepdims)),
    "reduce_sum_square": lambda x, over, keepdims: np.square(x).sum(over, keepdims=keepdims),
    "reduce_log_sum": lambda x, over, keepdims: np.log(x.sum(over, keepdims=keepdims)),
    "reduce_log_sum_exp": lambda x, over, keepdims: np.log(np.exp(x).sum(over, keepdims=keepdims)),
}


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(*, x: np.ndarray, axes: np.ndarray | None = None, keep_dims: np.ndarray | bool = False) -> np.ndarray:
        over = tuple(range(x.ndim)) if axes is None else tuple(axes.tolist())
        return np.asarray(function(x, over, keepdims=bool(keep_dims)))

    return reduce


OPERATIONS.update({name: _reduction(function) for name, function in _REDUCTIONS.items()})


@op("reduce_argmax")
def reduce_argmax(
    *,
    x: np.ndarray,
    axis: np.ndarray | int = -1,
    keep_dims: np.ndarray | bool = False,
    output_dtype: np.ndarray | str = "int32",
) -> np.ndarray:
    return np.asarray(np.argmax(x, int(axis), keepdims=bool(keep_dims)))


@op("cumsum")
def cumsum(
    *,
    x: np.ndarray,
    axis: np.ndarray | int = 0,
    exclusive: np.ndarray | bool = False,
    reverse: np.ndarray | bool = False,
) -> np.ndarray:
    at = int(axis)
    ordered = np.flip(x, at) if reverse else x
    sums = np.cumsum(ordered, at) - (ordered if exclusive else 0)
    return np.flip(sums, at) if reverse else sums


def _channels(values: Any, rank: int) -> np.ndarray:
    return np.asarray(values).reshape(-1, *[1] * (rank - 2))
