"""Weights in GGUF's forms: the checkpoint's own integers as Q4_0, everything else as floats.

A Q4_0 block is a float16 scale and 32 codes stored from 0 up, code j in the low and code j + 16 in the high half of
byte j: symmetric groups of 32 fit it bit for bit. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from torch import Tensor, nn

from edge_runtime.errors import UserError
from quantize.layers import IntLayer, IntLinear
from quantize.scheme import INT4

BLOCK = 32
_INSTEAD = "quantize with --scheme int4-g32, or use --weights float16"


def add_layer(
    writer: GGUFWriter, name: str, layer: nn.Module, half: bool, heads: int = 0, rows: int | None = None
) -> None:
    """Add a layer's weight: integers as Q4_0, floats of two dimensions as float16 or (half false) float32; norms are
    float32 always. heads: see paired. rows: only so many of a float weight. Raises UserError for integers that have no
    Q4_0 form."""
    if isinstance(layer, IntLinear) and layer.scheme.bits == 4:
        writer.add_tensor(name, paired(q4_0(layer), heads), raw_dtype=GGMLQuantizationType.Q4_0)
        return
    weight = layer.float_weight if isinstance(layer, IntLayer) else layer.weight
    assert isinstance(weight, Tensor)
    if weight.ndim == 1:
        add_plain(writer, name, weight)
    else:
        kept = weight.detach()[:rows]
        writer.add_tensor(name, paired((kept.half() if half else kept.float()).numpy(), heads))


def add_plain(writer: GGUFWriter, name: str, tensor: Tensor | nn.Module) -> None:
    """Add a tensor in float32."""
    assert isinstance(tensor, Tensor)
    writer.add_tensor(name, tensor.detach().float().numpy())


def q4_0(layer: IntLinear) -> np.ndarray:
    """The layer's integers as Q4_0 blocks, uint8 [N, K / 32 * 18]. Raises UserError for any scheme but int4-g32."""
    if layer.scheme != INT4:
        raise UserError(f"Q4_0 holds symmetric 4-bit groups of 32 alone; {_INSTEAD}")
    if layer.input_order is not None:
        raise UserError(f"Q4_0 holds groups of consecutive inputs alone (GPTQ's desc_act false); {_INSTEAD}")
    if layer.weight_scale.dtype != torch.float16:
        raise UserError(f"Q4_0 holds float16 scales alone, and one of this checkpoint's is none; {_INSTEAD}")
    weight = layer.int_weight
    codes = (weight.codes.numpy() + 8).astype(np.uint8).reshape(len(weight.codes), -1, BLOCK)  # [N, G, 32]
    packed = codes[..., : BLOCK // 2] | codes[..., BLOCK // 2 :] << 4
    scales = np.ascontiguousarray(weight.scales.numpy())[..., None].view(np.uint8)  # [N, G, 2]
    return np.concatenate([scales, packed], axis=2).reshape(len(codes), -1)


def paired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows [heads * head_dim, ...] with i and i + head_dim / 2 of each head side by side; heads 0: unchanged."""
    if not heads:
        return rows
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))
