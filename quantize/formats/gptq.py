"""GPTQ's layout, as AutoGPTQ and GPTQModel write it (https://github.com/ModelCloud/GPTQModel).

A layer X [N, K] is X.qweight int32 [K * bits / 32, N], X.qzeros int32 [G, N * bits / 32], X.scales float16 [G, N] and
X.g_idx int32 [K], the group of each input: w = scale * (code - zero point). Codes lie in their words as in ours, along
the other dimension. The first version of the format stores zero points less one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quantize.formats.format import Format, Pieces, Refused, Section, off, only
from quantize.integers import IntWeight, unpack

V1, V2 = "gptq", "gptq_v2"


def _version(section: Section) -> str:
    off(section, "is_marlin_format")
    key = "checkpoint_format" if section.get("checkpoint_format") is not None else "format"
    return str(only(section, key, V1, V2))


def kind(section: Section) -> str:
    """See quantize.formats.format.Format."""
    _version(section)
    off(section, "adapter", "rotation")
    only(section, "pack_dtype", "int32")
    return f"int{only(section, 'bits', 4, 8)}"


def read(pieces: Pieces, section: Section) -> tuple[IntWeight, Tensor | None]:
    """See quantize.formats.format.Format."""
    scales, words = pieces["scales"], pieces["qzeros"]
    bits = words.shape[1] * 32 // scales.shape[1]
    if bits not in (4, 8):
        raise Refused(f"{bits} bits are not supported; this version reads 4 or 8")
    codes = unpack(pieces["qweight"].T.contiguous(), bits)
    zeros = unpack(words, bits).T.contiguous()
    if _version(section) == V1:
        # The highest code plus one: its writers let it overflow into the next zero point, its readers do not agree.
        if (zeros == zeros.new_tensor((1 << (bits - 1)) - 1)).any():
            raise Refused(
                f"a zero point is stored as {(1 << bits) - 1}, which readers of {V1} read differently; save it as {V2}"
            )
        zeros += 1
    groups = pieces.get("g_idx")
    if groups is None or not groups.numel():
        if section.get("desc_act") and not section.get("static_groups"):
            raise Refused("desc_act without a g_idx is not supported; quantize with desc_act false")
        groups = None
    return IntWeight(codes, scales.T.contiguous(), zeros, bits), None if groups is None else groups.to(torch.int64)


FORMAT = Format(kind, "qweight", ("qzeros", "scales", "g_idx"), read)
