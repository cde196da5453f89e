"""Operations that work on each element: arithmetic, comparisons, activations, types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from export.mil.registry import OPERATIONS, op

_BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "real_div": np.true_divide,
    "floor_div": np.floor_divide,
    "mod": np.mod,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "exp": np.exp,
    "exp2": np.exp2,
    "floor": np.floor,
    "identity": np.asarray,
    "logical_not": np.logical_not,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": np.round,
    "sign": np.sign,
    "sin": np.sin,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": np.sqrt,
    "square": np.square,
    "tanh": np.tanh,
}


def _binary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *, x, y: function(x, y)


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *, x: function(x)


OPERATIONS.update({name: _binary(function) for name, function in _BINARY.items()})
OPERATIONS.update({name: _unary(function) for name, function in _UNARY.items()})


@op("erf")
def erf(*, x: np.ndarray) -> np.ndarray:
    return torch.erf(torch.from_numpy(np.require(x, requirements=["C", "W"]))).numpy()


@op("sigmoid")
def sigmoid(*, x: np.ndarray) -> np.ndarray:
    # tanh does not overflow, however far out x is.
    return 0.5 * (1 + np.tanh(0.5 * x))


@op("silu")
def silu(*, x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x=x)


@op("gelu")
def gelu(*, x: np.ndarray, mode: np.ndarray | str = "EXACT") -> np.ndarray:
    mode = str(mode)
    if mode == "EXACT":
        return 0.5 * x * (1 + erf(x=x / np.sqrt(2, dtype=x.dtype)))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * sigmoid(x=1.702 * x)
    raise NotImplementedError(f"gelu has no mode {mode}")


@op("softplus")
def softplus(*, x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


@op("leaky_relu")
def leaky_relu(*, x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, alpha * x)


@op("elu")
def elu(*, x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


@op("prelu")
def prelu(*, x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """alpha [C] for x [N, C, ...]."""
    return np.where(x >= 0, x, alpha.reshape(-1, *[1] * (x.ndim - 2)) * x)


@op("sigmoid_hard")
def sigmoid_hard(*, x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return np.clip(alpha * x + beta, 0, 1)


@op("clip")
def clip(*, x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return np.clip(x, alpha, beta)


@op("rsqrt")
def rsqrt(*, x: np.ndarray, epsilon: np.ndarray | float = 1e-12) -> np.ndarray:
    return 1 / np.sqrt(x + epsilon)


@op("inverse")
def inverse(*, x: np.ndarray, epsilon: np.ndarray | float = 1e-4) -> np.ndarray:
    return 1 / (x + epsilon)


@op("log")
def log(*, x: np.ndarray, epsilon: np.ndarray | float = 1e-45) -> np.ndarray:
    return np.log(x + epsilon)


@op("select")
def select(*, cond: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(cond, a, b)


@op("cast")
def cast(*, x: np.ndarray, dtype: np.ndarray) -> np.ndarray:
    """The declared type of the result is the one asked for; to an integer, towards zero."""
    kind = str(dtype)
    return x != 0 if kind == "bool" else np.trunc(x) if "int" in kind and x.dtype.kind == "f" else x
