"""Operations that move elements: shapes, slices, joins, look-ups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.mil.registry import op


@op("shape")
def shape(*, x: np.ndarray) -> np.ndarray:
    return np.array(x.shape, np.int32)


@op("reshape")
def reshape(*, x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """-1 takes what is left; 0 copies the input's axis that is as far from the end, or is 1 where there is none."""
    sizes, behind = shape.tolist(), x.ndim - len(shape)
    for i, size in enumerate(sizes):
        if size == 0:
            sizes[i] = x.shape[i + behind] if i + behind >= 0 else 1
    return x.reshape(sizes)


@op("transpose")
def transpose(*, x: np.ndarray, perm: np.ndarray) -> np.ndarray:
    return x.transpose(perm.tolist())


@op("expand_dims")
def expand_dims(*, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.expand_dims(x, tuple(axes.tolist()))


@op("squeeze")
def squeeze(*, x: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    return np.squeeze(x, None if axes is None else tuple(axes.tolist()))


@op("concat")
def concat(*, values: Sequence[np.ndarray], axis: np.ndarray, interleave: np.ndarray | bool = False) -> np.ndarray:
    """Scalars count as one element each, as they do when a shape is put together."""
    parts = [np.atleast_1d(v) for v in _listed(values)]
    if interleave:
        stacked = np.stack(parts, int(axis) % parts[0].ndim + 1)
        sizes = list(parts[0].shape)
        sizes[int(axis)] *= len(parts)
        return stacked.reshape(sizes)
    return np.concatenate(parts, int(axis))


@op("stack")
def stack(*, values: Sequence[np.ndarray], axis: np.ndarray) -> np.ndarray:
    return np.stack(_listed(values), int(axis))


@op("split")
def split(
    *,
    x: np.ndarray,
    axis: np.ndarray,
    num_splits: np.ndarray | None = None,
    split_sizes: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    if split_sizes is None:
        assert num_splits is not None
        return tuple(np.split(x, int(num_splits), int(axis)))
    return tuple(np.split(x, np.cumsum(split_sizes)[:-1].tolist(), int(axis)))


@op("tile")
def tile(*, x: np.ndarray, reps: np.ndarray) -> np.ndarray:
    return np.tile(x, reps.tolist())


@op("pad")
def pad(
    *, x: np.ndarray, pad: np.ndarray, mode: np.ndarray | str = "constant", constant_val: np.ndarray | float = 0.0
) -> np.ndarray:
    """pad: before and after of the last axes, in order."""
    pairs = pad.reshape(-1, 2).tolist()
    widths = [[0, 0]] * (x.ndim - len(pairs)) + pairs
    kind = str(mode)
    if kind == "constant":
        return np.pad(x, widths, constant_values=np.asarray(constant_val).item())
    return np.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge"}[kind])  # type: ignore[call-overload]


@op("slice_by_index")
def slice_by_index(
    *,
    x: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    stride: np.ndarray | None = None,
    begin_mask: np.ndarray | None = None,
    end_mask: np.ndarray | None = None,
    squeeze_mask: np.ndarray | None = None,
) -> np.ndarray:
    return x[_index(x.ndim, begin, end, stride, begin_mask, end_mask, squeeze_mask)]


@op("slice_update")
def slice_update(
    *,
    x: np.ndarray,
    update: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    stride: np.ndarray | None = None,
    begin_mask: np.ndarray | None = None,
    end_mask: np.ndarray | None = None,
    squeeze_mask: np.ndarray | None = None,
) -> np.ndarray:
    updated = x.copy()
    index = _index(x.ndim, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    if updated[index].shape != update.shape:
        raise ValueError(f"an update of shape {update.shape} does not fit a slice of {updated[index].shape}")
    updated[index] = update
    return updated


@op("slice_by_size")
def slice_by_size(*, x: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    """size -1: all that is left of the axis."""
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in zip(begin.tolist(), size.tolist(), strict=True))]


@op("gather")
def gather(
    *,
    x: np.ndarray,
    indices: np.ndarray,
    axis: np.ndarray | int = 0,
    batch_dims: np.ndarray | int = 0,
    validate_indices: np.ndarray | bool = False,
) -> np.ndarray:
    """Out of range is an error, where a device may return anything."""
    if int(batch_dims):
        raise NotImplementedError("gather with batch_dims is not evaluated")
    return np.take(x, indices.astype(np.int64), int(axis))


@op("gather_along_axis")
def gather_along_axis(
    *, x: np.ndarray, indices: np.ndarray, axis: np.ndarray | int = 0, validate_indices: np.ndarray | bool = False
) -> np.ndarray:
    return np.take_along_axis(x, indices.astype(np.int64), int(axis))


@op("fill")
def fill(*, shape: np.ndarray, value: np.ndarray | float = 0.0) -> np.ndarray:
    return np.full(shape.tolist(), value)


@op("range_1d")
def range_1d(*, start: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.arange(start.item(), end.item(), step.item())


@op("band_part")
def band_part(*, x: np.ndarray, lower: np.ndarray | int = -1, upper: np.ndarray | int = -1) -> np.ndarray:
    """Keep `lower` diagonals below the main one and `upper` above it, -1 all of them."""
    row, column = np.indices(x.shape[-2:])
    low, high = int(lower), int(upper)
    keep = ((low < 0) | (row - column <= low)) & ((high < 0) | (column - row <= high))
    return np.where(keep, x, 0)


def _listed(values: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    return list(values) if isinstance(values, list | tuple) else [np.asarray(values)]


def _index(
    rank: int,
    begin: np.ndarray,
    end: np.ndarray,
    stride: np.ndarray | None,
    begin_mask: np.ndarray | None,
    end_mask: np.ndarray | None,
    squeeze_mask: np.ndarray | None,
) -> tuple[slice | int, ...]:
    """A mask that is true lets an axis start or end where it does; squeeze takes the one element at begin."""
    steps = np.ones(rank, np.int64) if stride is None else stride
    off = np.zeros(rank, bool)
    masks = [off if mask is None else mask for mask in (begin_mask, end_mask, squeeze_mask)]
    index: list[slice | int] = []
    for b, e, s, from_start, to_end, single in zip(begin.tolist(), end.tolist(), steps.tolist(), *masks, strict=True):
        if single:
            index.append(b)
        else:
            index.append(slice(None if from_start else b, None if to_end else e, s))
    return tuple(index)
