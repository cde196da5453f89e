"""Operations on grids: convolutions (by torch), pooling, upsampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from export.mil.registry import op


@op("conv")
def conv(
    *,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: np.ndarray | None = None,
    pad_type: np.ndarray | str = "valid",
    pad: np.ndarray | None = None,
    dilations: np.ndarray | None = None,
    groups: np.ndarray | int = 1,
) -> np.ndarray:
    """x [N, C, *D], weight [C_out, C / groups, *K]."""
    rank = x.ndim - 2
    steps, spread = _sizes(strides, rank), _sizes(dilations, rank)
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], spread, strict=True)]
    padded = _padded(_torch(x), _padding(x.shape[2:], reach, steps, str(pad_type), pad), 0.0)
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    given = None if bias is None else _torch(bias)
    y: torch.Tensor = function(padded, _torch(weight), given, steps, 0, spread, int(groups))
    return y.numpy()


@op("conv_transpose")
def conv_transpose(
    *,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: np.ndarray | None = None,
    pad_type: np.ndarray | str = "valid",
    pad: np.ndarray | None = None,
    dilations: np.ndarray | None = None,
    groups: np.ndarray | int = 1,
    output_shape: np.ndarray | None = None,
) -> np.ndarray:
    """x [N, C, *D], weight [C, C_out / groups, *K]; the padding is cut off the result."""
    rank = x.ndim - 2
    if str(pad_type) not in ("valid", "custom"):
        raise NotImplementedError(f"conv_transpose with pad_type {pad_type} is not evaluated")
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    steps, spread = _sizes(strides, rank), _sizes(dilations, rank)
    given = None if bias is None else _torch(bias)
    y: np.ndarray = function(_torch(x), _torch(weight), given, steps, 0, 0, int(groups), spread).numpy()
    cut = [0] * (2 * rank) if pad is None or str(pad_type) == "valid" else pad.tolist()
    sizes = [n - cut[2 * i] - cut[2 * i + 1] for i, n in enumerate(y.shape[2:])]
    if output_shape is not None:
        sizes = output_shape.tolist()[2:]
    kept = tuple(slice(cut[2 * i], cut[2 * i] + n) for i, n in enumerate(sizes))
    return y[(slice(None), slice(None), *kept)]


@op("max_pool")
def max_pool(
    *,
    x: np.ndarray,
    kernel_sizes: np.ndarray,
    strides: np.ndarray | None = None,
    pad_type: np.ndarray | str = "valid",
    pad: np.ndarray | None = None,
    ceil_mode: np.ndarray | bool = False,
) -> np.ndarray:
    grid = _PoolGrid(x.shape[2:], kernel_sizes, strides, str(pad_type), pad, bool(ceil_mode))
    return grid.windows(x, -np.inf, -np.inf).max(grid.axes)


@op("avg_pool")
def avg_pool(
    *,
    x: np.ndarray,
    kernel_sizes: np.ndarray,
    strides: np.ndarray | None = None,
    pad_type: np.ndarray | str = "valid",
    pad: np.ndarray | None = None,
    exclude_padding_from_average: np.ndarray | bool = False,
    ceil_mode: np.ndarray | bool = False,
) -> np.ndarray:
    """What lies beyond the padding, where ceil_mode lets a window reach out, never counts, as in PyTorch."""
    grid = _PoolGrid(x.shape[2:], kernel_sizes, strides, str(pad_type), pad, bool(ceil_mode))
    ones = np.ones((1, 1, *x.shape[2:]), np.float32)
    counts = grid.windows(ones, 0.0 if exclude_padding_from_average else 1.0, 0.0).sum(grid.axes)
    return grid.windows(x, 0.0, 0.0).sum(grid.axes) / counts


@op("upsample_nearest_neighbor")
def upsample_nearest(*, x: np.ndarray, scale_factor_height: np.ndarray, scale_factor_width: np.ndarray) -> np.ndarray:
    factors = (float(scale_factor_height), float(scale_factor_width))
    if any(f != round(f) for f in factors):
        raise NotImplementedError(f"upsample_nearest_neighbor by {factors} is not evaluated")
    return x.repeat(int(factors[0]), -2).repeat(int(factors[1]), -1)


def _torch(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.require(x, np.float32, ["C", "W"]))


def _sizes(values: np.ndarray | None, rank: int) -> list[int]:
    return [1] * rank if values is None else [int(v) for v in values]


def _padding(
    sizes: tuple[int, ...], reach: list[int], steps: list[int], pad_type: str, pad: np.ndarray | None
) -> list[tuple[int, int]]:
    """(before, after) of each spatial axis. same: the result has ceil(size / step) positions, the odd one behind."""
    if pad_type == "valid" or (pad_type == "custom" and pad is None):
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        assert pad is not None
        return [(int(a), int(b)) for a, b in pad.reshape(-1, 2)]
    if pad_type not in ("same", "same_lower"):
        raise NotImplementedError(f"pad_type {pad_type} is not evaluated")
    pairs = []
    for size, window, step in zip(sizes, reach, steps, strict=True):
        total = max((-(-size // step) - 1) * step + window - size, 0)
        low = total // 2 if pad_type == "same" else total - total // 2
        pairs.append((low, total - low))
    return pairs


def _padded(x: torch.Tensor, pairs: list[tuple[int, int]], value: float) -> torch.Tensor:
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=value)


class _PoolGrid:
    """Where pooling windows lie: the padding, and with ceil_mode what the last windows reach beyond it."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        kernel_sizes: np.ndarray,
        strides: np.ndarray | None,
        pad_type: str,
        pad: np.ndarray | None,
        ceil_mode: bool,
    ) -> None:
        self.kernel = [int(k) for k in kernel_sizes]
        self.axes = tuple(range(-len(self.kernel), 0))
        self.steps = _sizes(strides, len(self.kernel))
        self.padding = _padding(sizes, self.kernel, self.steps, pad_type, pad)
        self.beyond = [(0, 0)] * len(sizes)
        if ceil_mode:
            for i, ((low, high), size, k, s) in enumerate(
                zip(self.padding, sizes, self.kernel, self.steps, strict=True)
            ):
                count = -(-(size + low + high - k) // s) + 1
                if (count - 1) * s >= size + low:
                    count -= 1  # a window may not start behind the input
                self.beyond[i] = (0, max(0, (count - 1) * s + k - size - low - high))

    def windows(self, x: np.ndarray, padding: float, beyond: float) -> np.ndarray:
        """[N, C, *D] -> [N, C, *D_out, *K], with these values around x."""
        none = [(0, 0), (0, 0)]
        wide = np.pad(x, none + self.padding, constant_values=padding)
        wide = np.pad(wide, none + self.beyond, constant_values=beyond)
        every = np.lib.stride_tricks.sliding_window_view(wide, self.kernel, tuple(range(2, x.ndim)))
        return every[(slice(None), slice(None), *(slice(None, None, s) for s in self.steps))]
