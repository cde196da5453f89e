"""A float checkpoint read with its decoder rounded on the way in, by bitsandbytes: what a large teacher needs to fit.

4 bits are NF4 (Dettmers et al. 2023, arXiv 2305.14314), 8 bits LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339). One
weight is held in float at a time, so a 7B model takes about 5 or 8 GB and not the 28 GB of its float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError, shorten
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.store import load_state
from pulse.model.llava import Llava
from quantize.nf4 import Nf4Linear, stored
from quantize.precision import part_of
from quantize.quantization_config import kind_of
from quantize.scheme import NF4

BITS = (4, 8)


def load_in_bits(checkpoint: Checkpoint, bits: int, device: torch.device) -> Llava:
    """The model in eval mode on `device`; the decoder's layers in 4 or 8 bits, everything else float32.

    A layer whose rows do not divide into NF4's blocks stays float32. Raises UserError for a checkpoint that is
    quantized already, and where bitsandbytes is missing or cannot do it on this device.
    """
    folder = checkpoint.folder
    if kind := kind_of(checkpoint):
        raise UserError(f"{folder}: its weights are {kind} already; leave out --teacher-bits")
    make = {4: _four_bits, 8: _eight_bits}[bits]
    with torch.device("meta"):
        model = Llava(checkpoint.config)
    state, layers = {}, {}
    for name, tensor in checkpoint.tensors():
        if part_of(name) == "decoder" and (bits == 8 or NF4.fits(tensor)):
            state[name] = torch.empty_like(tensor, device="meta")  # its shape is checked as that of the others
            layers[name.removesuffix(".weight")] = _made(make, tensor, device)
        else:
            state[name] = tensor.float().to(device) if tensor.is_floating_point() else tensor.to(device)
    load_state(model, state, folder)
    for name, layer in layers.items():
        model.set_submodule(name, layer)
    return model.eval().requires_grad_(False)


def _made(make: Callable[[Tensor, torch.device], nn.Module], weight: Tensor, device: torch.device) -> nn.Module:
    try:
        return make(weight, device)
    except UserError:
        raise
    except (RuntimeError, NotImplementedError, ValueError) as error:
        bits = 4 if make is _four_bits else 8
        reason = shorten(" ".join(str(error).split()), 120)
        raise UserError(
            f"bitsandbytes cannot hold these weights in {bits} bits on {device.type} ({reason}); "
            f"give --teacher-bits {12 - bits}, or upgrade bitsandbytes"
        ) from None


def _four_bits(weight: Tensor, device: torch.device) -> nn.Module:
    layer = Nf4Linear(weight.shape[1], weight.shape[0])
    layer.set_weight(stored(weight))
    return layer.to(device)


def _eight_bits(weight: Tensor, device: torch.device) -> nn.Module:
    try:
        from bitsandbytes.nn.modules import Int8Params, Linear8bitLt
    except ImportError:
        raise UserError("8 bits need bitsandbytes; pip install pulse-edge[targets]") from None
    # 6: where an input is beyond it, its column is multiplied in float (the paper's outliers).
    layer = Linear8bitLt(weight.shape[1], weight.shape[0], bias=False, has_fp16_weights=False, threshold=6.0)
    layer.weight = Int8Params(weight.detach().half(), requires_grad=False, has_fp16_weights=False)
    layer = layer.to(device)  # the move is what rounds it
    layer(torch.zeros(1, weight.shape[1], dtype=torch.float16, device=device))  # refused now, not at the first page
    return _Half(layer)


class _Half(nn.Module):
    """x of any float type through a layer that multiplies float16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.half()).to(x.dtype)
