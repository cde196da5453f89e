"""4-bit NormalFloat (Dettmers et al. 2023, arXiv 2305.14314) by bitsandbytes, in the tensors that transformers reads.

A layer X is X.weight uint8 [N * K / 2, 1], the first of two codes in the high half of the byte, X.weight.absmax float32
[N * K / 64], X.weight.quant_map float32 [16], and the description that bitsandbytes writes. There are no integers here:
codes point into a table, so only formats with such an operator can take them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_runtime.errors import UserError
from quantize.scheme import NF4_BLOCK

ABSMAX, TABLE, STATE = "weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4"
BUFFERS = {"codes": "weight", "absmax": ABSMAX, "table": TABLE}  # of Nf4Linear -> names in a checkpoint


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes.functional
    except ImportError:
        raise UserError("nf4 needs bitsandbytes; pip install pulse-edge[targets]") from None
    return bitsandbytes.functional


def stored(weight: Tensor) -> dict[str, Tensor]:
    """A weight's tensors in a checkpoint, by their last names. Raises ValueError for NaN or infinity."""
    if not torch.isfinite(weight).all():
        raise ValueError("the weight holds NaN or infinity")
    functional = _bitsandbytes()
    half = weight.detach().half().contiguous()  # the type it is given back in by transformers
    codes, state = functional.quantize_4bit(half, blocksize=NF4_BLOCK, quant_type="nf4")
    return {"weight": codes, **{f"weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()}}


class Nf4Linear(nn.Module):
    """nn.Linear on an NF4 weight: x [..., K] -> [..., N]. Inference only."""

    codes: Tensor
    absmax: Tensor
    table: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        size = in_features * out_features
        self.register_buffer("codes", torch.zeros(size // 2, 1, dtype=torch.uint8))
        self.register_buffer("absmax", torch.zeros(size // NF4_BLOCK))
        self.register_buffer("table", torch.zeros(16))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @property
    def float_weight(self) -> Tensor:
        """table[code] * absmax as float32 [N, K]."""
        codes = torch.stack((self.codes >> 4, self.codes & 0xF), dim=-1).flatten().long()
        blocks = self.table[codes].unflatten(0, (-1, NF4_BLOCK)) * self.absmax[:, None]
        return blocks.view(self.out_features, self.in_features)

    def set_weight(self, tensors: dict[str, Tensor]) -> None:
        """Take the tensors of `stored`."""
        for buffer, name in BUFFERS.items():
            setattr(self, buffer, tensors[name])

    def to_float(self) -> nn.Linear:
        """The float32 nn.Linear that computes the same."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        linear.weight.data = self.float_weight
        if self.bias is not None:
            linear.bias.data = self.bias.float()
        return linear

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.float_weight.to(x.dtype), self.bias)
