"""The one place that turns float weights into integers, so that every exporter ships the same ones.

Values follow compressed-tensors: w ~ scale * (code - zero point), codes in -8..7 or -128..127, one scale (and, when
asymmetric, one zero point) for each group of inputs of an output channel. The layout is its `pack-quantized`: codes as
int32 words, the first in the lowest bits, each stored as code + 8 (or + 128). Those words, seen as little-endian bytes,
are also the B input of ONNX Runtime's MatMulNBits: exporters copy, they never quantize again.
https://github.com/vllm-project/compressed-tensors
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quantize.scheme import INT4, Scheme

_BLOCK = 1 << 22  # weights that are rounded at once


@dataclass(frozen=True)
class IntWeight:
    """A quantized weight: codes int8 [N, K], scales float16 [N, G] and zero points int8 [N, G], or None for all 0."""

    codes: Tensor
    scales: Tensor
    zeros: Tensor | None
    bits: int

    @property
    def group_size(self) -> int:
        return self.codes.shape[1] // self.scales.shape[1]


def quantize(weight: Tensor, scheme: Scheme = INT4) -> IntWeight:
    """Round a float weight [N, K] to the nearest code in each group of inputs.

    Codes are rounded against the float16 scale that is stored, not against the exact one. Padding is not part of the
    layout on disk, so callers leave a layer in float that does not fit (`Scheme.fits`).
    Raises ValueError for a weight that does not fit, or holds NaN, infinity or values beyond float16.
    """
    # Rows know nothing of each other; in blocks, what is computed on the way stays small beside a large weight.
    parts = [_rounded(rows, scheme) for rows in weight.split(max(1, _BLOCK // weight.shape[-1]))]
    zeros = [part.zeros for part in parts if part.zeros is not None]
    codes, scales = (torch.cat([getattr(part, kind) for part in parts]) for kind in ("codes", "scales"))
    return IntWeight(codes, scales, torch.cat(zeros) if zeros else None, scheme.bits)


def _rounded(weight: Tensor, scheme: Scheme) -> IntWeight:
    groups = grouped(weight, scheme)  # [N, G, K / G]
    scales, zeros = parameters(groups, scheme)
    codes = round_to(groups, scales, zeros, scheme).to(torch.int8).flatten(1)
    return IntWeight(codes, scales, None if scheme.symmetric else zeros.to(torch.int8), scheme.bits)


def grouped(weight: Tensor, scheme: Scheme) -> Tensor:
    """[N, K] -> float32 [N, G, K / G]. Raises ValueError for a weight that does not fit the scheme."""
    if not scheme.fits(weight):
        raise ValueError(f"shape {list(weight.shape)} does not divide into groups of {scheme.group_size or 16}")
    return weight.detach().float().unflatten(1, (-1, scheme.group_size or weight.shape[1]))


def parameters(groups: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Scales float16 and zero points float32, both [N, G], of groups [N, G, g]; compressed-tensors' own min-max rule.

    Raises ValueError for NaN, infinity or values too large for a float16 scale.
    """
    low, high = scheme.codes
    if scheme.symmetric:
        scales = (groups.abs().amax(dim=-1) / ((high - low) / 2)).half()
    else:
        least, most = groups.amin(dim=-1).clamp(max=0), groups.amax(dim=-1).clamp(min=0)  # 0.0 stays exact
        scales = ((most - least) / (high - low)).half()
    if not torch.isfinite(scales).all():
        raise ValueError("the weight holds NaN, infinity or values too large for a float16 scale")
    # An all-zero group (or one below float16's range) keeps codes of 0; its scale only has to be nonzero.
    scales[scales == 0] = torch.finfo(torch.float16).eps
    if scheme.symmetric:
        return scales, torch.zeros_like(scales, dtype=torch.float32)
    return scales, (low - least / scales.float()).round().clamp(low, high)


def round_to(groups: Tensor, scales: Tensor, zeros: Tensor, scheme: Scheme) -> Tensor:
    """The nearest codes, as float32, of values [..., g] whose scales and zero points are [...]."""
    return (groups / scales.float()[..., None] + zeros[..., None]).round().clamp(*scheme.codes)


def dequantize(weight: IntWeight, dtype: torch.dtype = torch.float32) -> Tensor:
    """(codes - zeros) * scales as [N, K]; exact in float32: at most 9 bits times the 11 of a float16."""
    groups = weight.codes.unflatten(1, (-1, weight.group_size)).float()
    if weight.zeros is not None:
        groups = groups - weight.zeros.float()[..., None]
    return (groups * weight.scales.float()[..., None]).flatten(1).to(dtype)


def pack(codes: Tensor, bits: int) -> Tensor:
    """int8 codes [N, K] -> int32 [N, K * bits / 32], which K must fill."""
    raw = (codes.to(torch.int16) + (1 << (bits - 1))).to(torch.uint8)
    if bits == 4:
        raw = raw[:, 0::2] | (raw[:, 1::2] << 4)  # the first of two codes is the low half of the byte
    return raw.flatten().view(torch.int32).view(len(codes), -1)


def unpack(packed: Tensor, bits: int) -> Tensor:
    """int32 [N, W] -> int8 codes [N, W * 32 / bits]; the inverse of `pack`."""
    raw = packed.flatten().view(torch.uint8).view(len(packed), -1)  # little-endian hosts only, as every torch wheel is
    if bits == 4:
        raw = torch.stack((raw & 0xF, raw >> 4), dim=-1).flatten(1)
    return (raw.to(torch.int16) - (1 << (bits - 1))).to(torch.int8)


def pack_zeros(zeros: Tensor, bits: int) -> Tensor:
    """int8 zero points [N, G] -> int32 [ceil(N * bits / 32), G], packed along the output channels, filled up with 0."""
    per_word = 32 // bits
    filled = torch.zeros(-(-len(zeros) // per_word) * per_word, zeros.shape[1], dtype=torch.int8)
    filled[: len(zeros)] = zeros
    # What fills up is stored as 0 and not as the code of zero, as the reference does.
    filled[len(zeros) :] = -(1 << (bits - 1))
    return pack(filled.T, bits).T.contiguous()


def unpack_zeros(packed: Tensor, bits: int, rows: int) -> Tensor:
    """int32 [W, G] -> int8 zero points [rows, G]; the inverse of `pack_zeros`."""
    return unpack(packed.T, bits).T[:rows].contiguous()
