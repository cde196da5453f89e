"""AutoAWQ's layout, version "gemm" (https://github.com/casper-hansen/AutoAWQ, awq/modules/linear/gemm.py).

A layer X [N, K] is X.qweight int32 [K, N / 8], X.qzeros int32 [G, N / 8] and X.scales float16 [G, N]: w = scale * (code
- zero point). A word's codes are of eight output channels in the order that its kernels unpack them in.
"""

from __future__ import annotations

from torch import Tensor

from quantize.formats.format import Format, Pieces, Section, off, only
from quantize.integers import IntWeight, unpack

GEMM = "gemm"
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the output channel that each 4 bits of a word belong to, the lowest first


def kind(section: Section) -> str:
    """See quantize.formats.format.Format."""
    key = next((key for key in ("version", "checkpoint_format", "format") if section.get(key) is not None), "version")
    only({key: str(section.get(key, GEMM)).lower()}, key, GEMM)
    only(section, "zero_point", True)
    only(section, "pack_dtype", "int32")
    off(section, "adapter", "rotation")
    return f"int{only(section, 'w_bit' if 'w_bit' in section else 'bits', 4)}"


def read(pieces: Pieces, section: Section) -> tuple[IntWeight, Tensor | None]:
    """See quantize.formats.format.Format."""
    codes, zeros = (_channels(pieces[name]) for name in ("qweight", "qzeros"))
    return IntWeight(codes, pieces["scales"].T.contiguous(), zeros, 4), None


def _channels(words: Tensor) -> Tensor:
    """int32 [R, N / 8] -> int8 [N, R], by output channel."""
    found = unpack(words.contiguous(), 4).unflatten(1, (-1, len(ORDER)))
    channels = found.new_empty(found.shape)
    channels[..., list(ORDER)] = found
    return channels.flatten(1).T.contiguous()


FORMAT = Format(kind, "qweight", ("qzeros", "scales"), read)
