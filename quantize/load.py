"""A checkpoint folder, float or 4-bit, as a torch model with the kind of weights that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError
from pulse.model.config import Config, read_config
from pulse.model.llava import Llava
from quantize.checkpoint import SKIP, group_size_of, is_quantizable
from quantize.int4 import Int4Linear
from quantize.shards import iter_tensors

WEIGHTS = ("int4", "float16", "float32")
_PACKED, _SCALE = ".weight_packed", ".weight_scale"


def load_model(folder: Path, weights: str | None = None, group_size: int = 32) -> tuple[Llava, Config]:
    """The model in eval mode, computing in float32, and its config.

    weights: None keeps what the checkpoint has. "int4" also quantizes a float checkpoint, in groups of `group_size`,
    to the same integers that pulse-quantize writes. "float16" dequantizes, and rounds every weight to a value that
    float16 has. "float32" dequantizes. Raises UserError for a folder that is no checkpoint of ours, or whose tensors
    do not match its config.
    """
    config = read_config(folder)
    model, tensors = Llava(config), dict(iter_tensors(folder))
    stored = group_size_of(config.extra, folder)
    if stored is not None:
        _insert_int4(model, [n.removesuffix(_PACKED) for n in tensors if n.endswith(_PACKED)], stored, folder)
    state = {
        name: t if name.endswith(_SCALE) or not t.is_floating_point() else t.float() for name, t in tensors.items()
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"{folder}: the weights do not match {folder / 'config.json'} ({reason})") from None
    if weights == "int4" and stored is None:
        quantize_model(model, group_size)
    if weights in ("float16", "float32"):
        dequantize_model(model)
    if weights == "float16" or (weights == "int4" and stored is None):
        _round_to_half(model, folder)
    return model.eval().requires_grad_(False), config


def quantize_model(model: nn.Module, group_size: int = 32, skip: Sequence[str] = SKIP) -> None:
    """Replace, in place, the Linears that quantize_checkpoint would quantize. Raises ValueError as quantize_int4."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and is_quantizable(f"{name}.weight", module.weight, group_size, skip):
            model.set_submodule(name, Int4Linear.from_linear(module, group_size))


def dequantize_model(model: nn.Module) -> None:
    """Replace, in place, every Int4Linear by the nn.Linear that computes the same."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Int4Linear):
            model.set_submodule(name, module.to_linear())


def _insert_int4(model: nn.Module, names: Sequence[str], group_size: int, folder: Path) -> None:
    for name in names:
        try:
            linear = model.get_submodule(name)
            if not isinstance(linear, nn.Linear):
                raise AttributeError(f"{name} is no Linear")
            layer = Int4Linear(linear.in_features, linear.out_features, group_size, linear.bias is not None)
        except (AttributeError, ValueError) as error:
            raise UserError(f"{folder}: 4-bit weights of {name} do not fit its config.json ({error})") from None
        model.set_submodule(name, layer)


@torch.no_grad()
def _round_to_half(model: nn.Module, folder: Path) -> None:
    tensors: dict[str, Tensor] = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not torch.isfinite(tensor).all():
                raise UserError(f"{folder}: {name} holds NaN, infinity or values beyond float16; use --weights float32")
