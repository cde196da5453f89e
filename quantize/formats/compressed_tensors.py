"""compressed-tensors' `pack-quantized`, as llm-compressor writes it and vLLM reads it: also what this project writes.

A layer's tensors are described in quantize.integers and quantize.layers. Of others they may have bfloat16 scales, zero
points that are not packed (before its version 0.9), and weight_g_idx int32 [K], the group of each input.
https://github.com/vllm-project/compressed-tensors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edge_runtime.errors import shorten
from quantize.formats.format import Format, Pieces, Refused, Section, off, only
from quantize.integers import IntWeight, unpack, unpack_zeros
from quantize.layers import PACKED, SCALE, SHAPE, ZERO
from quantize.scheme import GROUP_SIZES

G_IDX = "weight_g_idx"
PACK = "pack-quantized"


def kind(section: Section) -> str:
    """See quantize.formats.format.Format."""
    off(section, "kv_cache_scheme", "transform_config", "moe_sparsity_config")
    sparsity = section.get("sparsity_config") or {}
    if sparsity.get("format", "dense") != "dense":
        raise Refused(f"sparsity_config {shorten(sparsity['format'])} is not supported; quantize a dense checkpoint")
    groups = list(section["config_groups"].values())
    if not groups:
        raise Refused("it has no config_groups; quantize it again")
    if section["format"] != "mixed-precision":  # where each group names its own
        only(section, "format", PACK)
    kinds = [_bits(group) for group in groups]
    return kinds[0]


def _bits(group: Mapping[str, Any]) -> str:
    only(group, "format", PACK)
    off(group, "input_activations", "output_activations")
    weights = group["weights"]
    off(weights, "dynamic")
    only(weights, "type", "int")
    only(weights, "strategy", "group", "channel", "tensor")
    return f"int{only(weights, 'num_bits', 4, 8)}"


def read(pieces: Pieces, section: Section) -> tuple[IntWeight, Tensor | None]:
    """See quantize.formats.format.Format."""
    rows, inputs = pieces[SHAPE].tolist()[0], int(pieces[SHAPE][1:].prod())
    bits = pieces[PACKED].shape[1] * 32 // inputs
    if bits not in (4, 8):
        raise Refused(f"{bits} bits are not supported; this version reads 4 or 8")
    scales = pieces[SCALE].reshape(-1, pieces[SCALE].shape[-1]).expand(rows, -1).contiguous()  # [1]: of all the tensor
    zeros = pieces.get(ZERO)
    if zeros is not None:
        zeros = zeros.expand(scales.shape) if zeros.dtype == torch.int8 else unpack_zeros(zeros, bits, rows)
    groups = pieces.get(G_IDX)
    if groups is not None:  # -1: none were set
        groups = None if (groups < 0).any() else groups.to(torch.int64)
    return IntWeight(unpack(pieces[PACKED], bits), scales, zeros, bits), groups


def as_it_is(pieces: Pieces) -> bool:
    """Whether the tensors are those that this project writes, which can stay in the mapped file."""
    scales = pieces[SCALE]
    if G_IDX in pieces or scales.ndim != 2 or scales.dtype != torch.float16:
        return False
    if ZERO in pieces and pieces[ZERO].dtype != torch.int32:
        return False
    return scales.shape[1] == 1 or int(pieces[SHAPE][1:].prod()) // scales.shape[1] in GROUP_SIZES


FORMAT = Format(kind, PACKED, (SCALE, SHAPE, ZERO, G_IDX), read)
