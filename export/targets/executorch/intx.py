"""Integer layers for ExecuTorch: the checkpoint's own codes in the tensor that its delegates recognize.

torchao's IntxUnpackedToInt8Tensor exports as dequantize_affine on int8 codes, which XNNPACK, Core ML and Vulkan each
turn into their 4-bit or 8-bit operator. It is filled here from what the checkpoint holds; nothing is computed anew. No
delegate has a convolution on 8-bit weights alone: those are widened to float32, which changes their size and not one
result.
"""

from __future__ import annotations

import torch
from torch import nn

from edge_runtime.errors import UserError
from export.graph.codes import EmbeddingOfCodes, in_order_of
from quantize.layers import IntConv2d, IntEmbedding, IntLinear
from quantize.nf4 import Nf4Linear


def use_intx(model: nn.Module, quantize_activations: bool, within: tuple[str, ...] = ("",)) -> None:
    """Replace, in place, every quantized layer inside `model` whose name begins as one of `within`.

    quantize_activations: also round each token's activations to 8 bits at run time, asymmetrically ("8da4w").
    Raises UserError for weights that no delegate takes: with zero points, or NF4.
    """
    for name, module in list(model.named_modules()):
        if not name.startswith(within):
            continue
        match module:
            case IntLinear():
                model.set_submodule(name, in_order_of(module, _intx(name, module, quantize_activations)))
            case IntConv2d():
                model.set_submodule(name, module.to_float())
            case IntEmbedding():
                model.set_submodule(name, EmbeddingOfCodes(module))
            case Nf4Linear():
                raise UserError(
                    "ExecuTorch's delegates have no operator for nf4 weights; quantize with --scheme int4-g32"
                )


def _intx(name: str, module: IntLinear, quantize_activations: bool) -> nn.Linear:
    from torchao.quantization import IntxUnpackedToInt8Tensor  # an extra: only this target needs it

    weight = module.int_weight
    if weight.zeros is not None:
        raise UserError(
            f"ExecuTorch's delegates have no operator for asymmetric weights ({name}); quantize with --scheme "
            "int4-g32, or use --weights float16"
        )
    scale = weight.scales.float()
    tensor = IntxUnpackedToInt8Tensor(
        weight.codes,
        scale,
        torch.zeros(scale.shape, dtype=torch.int8),
        target_dtype=torch.int4 if weight.bits == 4 else torch.int8,  # type: ignore[attr-defined]  # not in its stubs
        block_size=(1, weight.group_size),
        dtype=torch.float32,
        activation_quantization="int8_asym_per_token" if quantize_activations else None,
    )
    linear = nn.Linear(module.in_features, module.out_features, module.bias is not None, device="meta")
    linear.weight = nn.Parameter(tensor, requires_grad=False)
    if module.bias is not None:
        linear.bias = nn.Parameter(module.bias.float(), requires_grad=False)
    return linear
