"""Any integer checkpoint's tensors in this project's own layout: its own integers and scales, not one of them rounded.

Whatever has no exact counterpart is refused, by the layer's name: see `_exact`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.formats import awq, compressed_tensors, gptq
from quantize.formats.format import Format, Pieces, Refused, Section
from quantize.integers import IntWeight
from quantize.layers import ORDER, PACKED, SCALE, SHAPE, stored
from quantize.scheme import GROUP_SIZES

INSTEAD = "; or give the float checkpoint to pulse-quantize"
SCALES = (SCALE, "scales")  # the floats of an integer layer, by their last names
FORMATS = {"compressed-tensors": compressed_tensors.FORMAT, "gptq": gptq.FORMAT, "awq": awq.FORMAT}


def quantization_of(checkpoint: Checkpoint) -> Section | None:
    """The checkpoint's quantization_config; None where it has none."""
    return checkpoint.config.extra.get("quantization_config")


def stays_mapped(checkpoint: Checkpoint) -> bool:
    """Whether the integers stay in the checkpoint's file while they are used, as those that this project wrote do."""
    section = quantization_of(checkpoint)
    return section is None or section.get("quant_method") not in ("gptq", "awq")


def own_layout(checkpoint: Checkpoint) -> Iterator[tuple[str, Tensor]]:
    """(our name, tensor) of every tensor, each quantized layer's as quantize.layers has them, one layer at a time.

    The section must be one that quantize.quantization_config.kind_of reads. Raises UserError for a layer that cannot be
    held exactly, or whose tensors do not fit each other.
    """
    section = quantization_of(checkpoint)
    found = None if section is None else FORMATS.get(section["quant_method"])
    if section is None or found is None:
        yield from checkpoint.tensors()
        return
    others, pieces = _apart(dict(checkpoint.tensors()), found)
    yield from others.items()
    for layer, own in pieces.items():
        try:
            made = _layer(own, found, section)
        except Refused as error:
            raise UserError(f"{checkpoint.folder}: {layer}: {error}{INSTEAD}") from None
        except (KeyError, IndexError, RuntimeError, ValueError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{checkpoint.folder}: the tensors of {layer} do not fit each other ({reason}); copy it again"
            ) from None
        yield from ((f"{layer}.{last}", tensor) for last, tensor in made.items())


def _apart(tensors: dict[str, Tensor], found: Format) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """What is no part of a quantized layer, and each such layer's tensors by their last names."""
    ours, pieces = {}, defaultdict[str, dict[str, Tensor]](dict)
    layers = {name.rpartition(".")[0] for name in tensors if name.endswith(f".{found.codes}")}
    for name, tensor in tensors.items():
        layer, _, last = name.rpartition(".")
        if layer in layers and last in (found.codes, *found.beside):
            pieces[layer][last] = tensor
        else:
            ours[name] = tensor
    return ours, pieces


def _layer(pieces: Pieces, found: Format, section: Section) -> Pieces:
    if found is compressed_tensors.FORMAT and compressed_tensors.as_it_is(pieces):
        return pieces
    weight, groups = found.read(pieces, section)
    weight, order = _exact(weight, groups)
    shape = pieces[SHAPE].tolist() if SHAPE in pieces else weight.codes.shape
    made = stored(weight, tuple(shape))
    if order is not None:
        return {**made, ORDER: order}
    return {**made, PACKED: pieces[PACKED]} if PACKED in pieces else made  # the same words, in the mapped file


def _exact(weight: IntWeight, groups: Tensor | None) -> tuple[IntWeight, Tensor | None]:
    """The same weight in our terms, and the order of its columns where it is another one.

    Zero points that are all 0 are left out. Scales become float16, or float32 where float16 does not have them: an
    unused input's may lie below. A group of more than our largest is several with one scale. Inputs whose groups are
    not consecutive are brought together, group by group. Raises Refused for what no rule covers.
    """
    codes, scales, zeros = weight.codes, weight.scales, weight.zeros
    if not torch.isfinite(scales).all():
        raise Refused("its scales hold NaN or infinity; quantize it again")
    (rows, inputs), count = codes.shape, scales.shape[1]
    if scales.shape[0] != rows or (zeros is not None and zeros.shape != scales.shape):
        raise ValueError(f"{rows} outputs have scales for {scales.shape[0]}")
    if inputs % count:
        raise Refused(f"{inputs} inputs do not divide into {count} groups; quantize with another group size")
    order = _order(groups, inputs, count)
    if order is not None:
        codes = codes[:, order]
    size, largest = inputs // count, max(GROUP_SIZES)
    repeats = size // largest if count > 1 and size > largest and size % largest == 0 else 1
    if count > 1 and size // repeats not in GROUP_SIZES:
        known = ", ".join(map(str, GROUP_SIZES))
        raise Refused(f"groups of {size} are not supported; this version reads {known} and multiples of {largest}")
    if zeros is not None and not zeros.any():
        zeros = None
    half = scales.half()
    scales = half if torch.equal(half.float(), scales.float()) else scales.float()
    if zeros is not None:
        zeros = zeros.repeat_interleave(repeats, dim=1)
    return IntWeight(codes, scales.repeat_interleave(repeats, dim=1), zeros, weight.bits), order


def _order(groups: Tensor | None, inputs: int, count: int) -> Tensor | None:
    """The inputs, int64 [K], in the order of their groups; None where they stand so already."""
    if groups is None:
        return None
    size = inputs // count
    order = groups.argsort(stable=True)
    if groups.shape != (inputs,) or not torch.equal(groups[order], torch.arange(count).repeat_interleave(size)):
        raise Refused(f"its g_idx does not put {size} inputs into each of {count} groups; quantize it again")
    return None if torch.equal(order, torch.arange(inputs)) else order
