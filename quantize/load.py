"""A checkpoint, float or quantized, as a torch model with the kind of weights that was asked for."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.store import load_state
from pulse.model.llava import Llava
from quantize import nf4
from quantize.formats.layout import own_layout
from quantize.layers import ORDER, PACKED, SCALE, SHAPE, ZERO, IntLayer, IntLinear, int_layer, quantized
from quantize.nf4 import Nf4Linear
from quantize.precision import Precision
from quantize.quantization_config import kind_of
from quantize.scheme import GROUP_SIZES, Scheme


def load_model(checkpoint: Checkpoint, weights: str | None = None, halves: bool = False) -> Llava:
    """The model in eval mode, computing in float32.

    halves: float16 weights of a quantized checkpoint stay so, in the mapped file; export.graph.parts.widen makes them
    float32 when their part's turn comes.

    weights: None keeps what the checkpoint has. "int4" also quantizes a float checkpoint, by Precision(), to the same
    integers that pulse-quantize writes by default. "float16" dequantizes, and rounds every weight to a value that
    float16 has. "float32" dequantizes. Integers, and what is float32 in the file, stay in the mapped file, which must
    not change; those of GPTQ's and AWQ's layouts are laid out anew. Raises UserError for a checkpoint whose tensors do
    not match its config or hold NaN or infinity, or that does not have the weights that were asked for.
    """
    kind, folder = kind_of(checkpoint), checkpoint.folder
    check_weights(kind, weights, folder)
    with torch.device("meta"):
        model = Llava(checkpoint.config)
    # Scales stay what they are on disk; everything else that is float computes in float32.
    halves = halves and kind is not None and weights in (None, kind)
    state = {}
    for name, tensor in own_layout(checkpoint):
        if tensor.is_floating_point():
            tensor = tensor if halves or name.endswith(f".{SCALE}") else tensor.float()
            _check_finite(tensor, name, folder)
        state[name] = tensor
    if kind is not None:
        state = _insert_quantized(model, state, folder)
    load_state(model, state, folder)
    if weights == "int4" and kind is None:
        quantize_model(model)
    if weights in ("float16", "float32"):
        dequantize_model(model)
    if weights == "float16" or (weights == "int4" and kind is None):
        _round_to_half(model, folder)
    return model.eval().requires_grad_(False)


def weights_of(checkpoint: Checkpoint) -> str:
    """The weights a bundle gets unless it is asked for others: a quantized checkpoint's own, otherwise "int4"."""
    return kind_of(checkpoint) or "int4"


def check_weights(kind: str | None, weights: str | None, folder: Path) -> None:
    """Raises UserError when a checkpoint of this kind (see kind_of) cannot give these weights."""
    if weights is None or weights in ("float16", "float32") or weights == (kind or "int4"):
        return
    if kind is None:
        fix = f"pulse-quantize {folder} --scheme {weights} makes it {weights}"
        raise UserError(f"{folder}: is a float checkpoint, which is exported as int4, float16 or float32; {fix}")
    raise UserError(f"{folder}: its weights are {kind}, not {weights}; use {kind}, float16 or float32")


def quantize_model(model: nn.Module, precision: Precision | None = None) -> None:
    """Replace, in place, the layers that quantize_checkpoint would quantize, rounded to nearest.

    Raises ValueError as quantize.integers.quantize, UserError as nf4.
    """
    precision = precision or Precision()
    for name, module in list(model.named_modules()):
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or isinstance(module, IntLayer):
            continue
        scheme = precision.of(f"{name}.weight", weight)
        if isinstance(scheme, Scheme):
            model.set_submodule(name, quantized(module, scheme))
        elif scheme is not None:
            model.set_submodule(name, _nf4_of(module, nf4.stored(weight)))


def dequantize_model(model: nn.Module) -> None:
    """Replace, in place, every quantized layer by the float32 layer that computes the same."""
    for name, module in list(model.named_modules()):
        if isinstance(module, IntLayer | Nf4Linear):
            model.set_submodule(name, module.to_float())


def _nf4_of(linear: nn.Module, tensors: dict[str, Tensor]) -> Nf4Linear:
    if not isinstance(linear, nn.Linear):
        raise ValueError(f"a {type(linear).__name__} has no nf4 counterpart")
    layer = Nf4Linear(linear.in_features, linear.out_features, linear.bias is not None)
    layer.set_weight(tensors)
    if linear.bias is not None:
        layer.bias = linear.bias.detach().clone()
    return layer


def _insert_quantized(model: nn.Module, tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Put empty quantized layers where the tensors are of such; returns the tensors by the model's names."""
    for name in [n.removesuffix(f".{PACKED}") for n in tensors if n.endswith(f".{PACKED}")]:
        try:
            with torch.device("meta"):  # it gets its tensors from the file
                layer = int_layer(model.get_submodule(name), _scheme_of(name, tensors))
                if f"{name}.{ORDER}" in tensors:
                    _reorder(layer)
        except (AttributeError, ValueError, KeyError, IndexError) as error:
            raise UserError(f"{folder}: quantized weights of {name} do not fit its config.json ({error})") from None
        model.set_submodule(name, layer)
    for name in [n.removesuffix(f".{nf4.STATE}") for n in tensors if n.endswith(f".{nf4.STATE}")]:
        try:
            found = {last: tensors.pop(f"{name}.{last}") for last in ("weight", nf4.ABSMAX, nf4.TABLE, nf4.STATE)}
            linear = _nf4_of(model.get_submodule(name), found)
        except (AttributeError, ValueError, KeyError) as error:
            raise UserError(f"{folder}: quantized weights of {name} do not fit its config.json ({error})") from None
        model.set_submodule(name, linear)
        tensors |= {f"{name}.{last}": found[key] for last, key in nf4.BUFFERS.items()}
    return tensors


def _reorder(layer: IntLayer) -> None:
    if not isinstance(layer, IntLinear):
        raise ValueError(f"a {type(layer).__name__} has no order of inputs")
    layer.input_order = torch.arange(layer.in_features)


def _scheme_of(name: str, tensors: dict[str, Tensor]) -> Scheme:
    """What a layer's own tensors say: parts of a checkpoint have schemes of their own."""
    inputs = int(tensors[f"{name}.{SHAPE}"][1:].prod())
    words, groups = tensors[f"{name}.{PACKED}"].shape[1], tensors[f"{name}.{SCALE}"].shape[1]
    size = inputs // groups
    return Scheme(
        words * 32 // inputs, size if groups > 1 or size in GROUP_SIZES else None, f"{name}.{ZERO}" not in tensors
    )


def _check_finite(tensor: Tensor, name: str, folder: Path) -> None:
    """Raises UserError for NaN and infinity, which an answer shows only where it meets them."""
    if tensor.numel() == 0:
        return
    # One pass at the speed of memory, thirty times as fast as isfinite; NaN goes through to both ends.
    least, most = tensor.aminmax()
    if not torch.isfinite(torch.stack((least, most))).all():
        count = int((~torch.isfinite(tensor)).sum())
        raise UserError(
            f"{folder}: {name} holds NaN or infinity ({count} of {tensor.numel()} numbers); train or convert the "
            "checkpoint again"
        )


@torch.no_grad()
def _round_to_half(model: nn.Module, folder: Path) -> None:
    for module_name, module in model.named_modules():
        # New tensors in their places: the old ones may lie in the mapped file.
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(_rounded(parameter, f"{module_name}.{name}", folder))
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = _rounded(buffer, f"{module_name}.{name}", folder)


def _rounded(tensor: Tensor, name: str, folder: Path) -> Tensor:
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise UserError(f"{folder}: {name} holds values beyond float16; use --weights float32")
    return half.to(tensor.dtype)
