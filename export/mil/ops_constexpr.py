"""Compressed weights: what Core ML widens when it loads a package."""

from __future__ import annotations

import numpy as np

from export.mil.registry import op


@op("constexpr_blockwise_shift_scale")
def blockwise_shift_scale(*, data: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
    """scale * (data - offset), each scale for a block of data; iOS 18."""
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted = shifted - _spread(offset.astype(np.float32), data.shape)
    return _spread(scale.astype(np.float32), data.shape) * shifted


@op("constexpr_affine_dequantize")
def affine_dequantize(
    *, quantized_data: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: np.ndarray
) -> np.ndarray:
    """scale * (data - zero_point) along one axis; iOS 16."""
    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    per_axis = [(v.astype(np.float32).reshape(shape) if v.ndim else np.float32(v)) for v in (scale, zero_point)]
    return per_axis[0] * (quantized_data.astype(np.float32) - per_axis[1])


@op("constexpr_lut_to_dense")
def lut_to_dense(
    *,
    indices: np.ndarray,
    lut: np.ndarray,
    shape: np.ndarray | None = None,
    vector_axis: np.ndarray | None = None,
) -> np.ndarray:
    """Values looked up by index. iOS 18: lut [blocks..., entries, vector]; iOS 16: lut [entries], packed indices."""
    if shape is not None:
        bits = int(np.log2(lut.size))
        stream = np.unpackbits(indices, bitorder="little")[: bits * int(np.prod(shape))].reshape(-1, bits)
        return lut[np.packbits(stream, axis=1, bitorder="little")[:, 0]].reshape(shape)
    blocks, vector = lut.shape[:-2], lut.shape[-1]
    # Which table serves each index: the tables divide the indices into equal blocks along every axis.
    grids = np.indices(indices.shape, sparse=True)
    table = [grids[axis] * blocks[axis] // size for axis, size in enumerate(indices.shape)]
    found: np.ndarray = lut[(*table, indices)]  # [..., vector]
    if vector == 1:
        return found[..., 0]
    axis = int(vector_axis) % indices.ndim if vector_axis is not None else 0
    dense_shape = list(indices.shape)
    dense_shape[axis] *= vector
    return np.moveaxis(found, -1, axis + 1).reshape(dense_shape)


@op("constexpr_cast")
def constexpr_cast(*, source_val: np.ndarray, output_dtype: np.ndarray) -> np.ndarray:
    """A float16 weight kept as such; the declared type does the rest."""
    return source_val.astype(np.float32)


@op("constexpr_sparse_to_dense")
def sparse_to_dense(*, nonzero_data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Values where the mask is 1, zero elsewhere; iOS 18."""
    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[mask.astype(bool)] = nonzero_data
    return dense


def _spread(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat each block's value over its block."""
    for axis, (count, size) in enumerate(zip(blocks.shape, shape, strict=True)):
        if count not in (1, size):
            blocks = np.repeat(blocks, size // count, axis)
    return np.broadcast_to(blocks, shape)
