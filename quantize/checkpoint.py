"""Float checkpoint -> 4-bit checkpoint in the compressed-tensors `pack-quantized` layout, a tensor at a time.

A quantized Linear X is stored as X.weight_packed int32 [N, K/8], X.weight_scale float16 [N, K/g] and X.weight_shape
int64 [2]; everything else is float16. config.json gains the `quantization_config` that compressed-tensors writes, so
transformers and vLLM know the weights too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_runtime.errors import UserError
from quantize.folder import new_folder
from quantize.int4 import GROUP_SIZES, fits, pack, quantize_int4
from quantize.shards import ShardWriter, iter_tensors

CONFIG = "config.json"
# The Linears of the language model and the projector; anything else (vision tower, norms, embeddings) stays float16.
LINEARS = re.compile(r"(language_model\.(.+\.)?(\w+_proj|lm_head)|multi_modal_projector\..+)\.weight")
# lm_head decides every token and in a small model is small too; ask for it with skip=().
SKIP = ("lm_head",)
COPIED = ("*.json", "tokenizer.model", "README.md", "LICENSE*", "NOTICE*")


@dataclass(frozen=True)
class Summary:
    """What quantize_checkpoint did: layers in 4 bits, Linears left in float16 by rule or shape, bytes of weights."""

    quantized: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_before: int
    bytes_after: int


def quantize_checkpoint(
    source: Path,
    out: Path,
    group_size: int = 32,
    skip: Sequence[str] = SKIP,
    progress: Callable[[str], None] = lambda name: None,
) -> Summary:
    """Write `source`, quantized, to the new folder `out`, which appears whole or not at all.

    skip: names (or parts of dotted names, such as "lm_head") of Linears to leave in float16. A Linear whose input size
    is not a multiple of group_size is left too, and both kinds are listed in the config's `ignore`.
    progress is called with the name of each tensor. Raises UserError for a source that is no float checkpoint.
    """
    if group_size not in GROUP_SIZES:
        raise UserError(f"group size {group_size} is not supported; use one of {', '.join(map(str, GROUP_SIZES))}")
    config = read_config(source)
    if "quantization_config" in config:
        raise UserError(f"{source}: is quantized already; give the float checkpoint it was made from")
    with new_folder(out) as part:
        copy_side_files(source, part)
        writer = ShardWriter(part)
        quantized, kept, before = [], [], 0
        for name, tensor in iter_tensors(source):
            progress(name)
            before += tensor.nbytes
            layer = name.removesuffix(".weight")
            if is_quantizable(name, tensor, group_size, skip):
                _add_quantized(writer, layer, tensor, group_size, source)
                quantized.append(layer)
                continue
            if LINEARS.fullmatch(name) and tensor.ndim == 2:
                kept.append(layer)
            writer.add(name, _to_half(name, tensor, source))
        if not quantized:
            raise UserError(f"{source}: no Linear weight of a language model fits; give a LLaVA checkpoint of ours")
        writer.close()
        config["quantization_config"] = quantization_config(group_size, ["re:.*vision_tower.*", *kept])
        config["torch_dtype"] = "float16"
        (part / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Summary(tuple(quantized), tuple(kept), before, writer.total_bytes)


def is_quantizable(name: str, tensor: Tensor, group_size: int, skip: Sequence[str] = SKIP) -> bool:
    """Whether the tensor `name` becomes 4-bit: a Linear of decoder or projector, not skipped, K a multiple of g."""
    skipped = any(f".{part}." in f".{name}" for part in skip)
    return LINEARS.fullmatch(name) is not None and not skipped and fits(tensor, group_size)


def quantization_config(group_size: int, ignore: Sequence[str]) -> dict[str, Any]:
    """The section as compressed-tensors writes it: every Linear but `ignore` has int4 weights in groups."""
    weights = {
        "num_bits": 4,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": group_size,
        "dynamic": False,
    }
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": list(ignore),
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def group_size_of(config: dict[str, Any], where: Path) -> int | None:
    """Group size of a 4-bit checkpoint's config, None for a float one.

    Raises UserError for a quantization that is not ours to read (another method, bits, or zero points).
    """
    section = config.get("quantization_config")
    if section is None:
        return None
    try:
        (group,) = section["config_groups"].values()
        weights = group["weights"]
        wanted = quantization_config(weights["group_size"], ())["config_groups"]["group_0"]["weights"]
        known = (section["quant_method"], section["format"]) == ("compressed-tensors", "pack-quantized")
        if known and all(weights[key] == wanted[key] for key in ("num_bits", "type", "symmetric", "strategy")):
            size = int(weights["group_size"])
            if size in GROUP_SIZES:
                return size
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # said below, in the same words as any other unknown quantization
    raise UserError(
        f"{where / CONFIG}: quantization_config is not symmetric int4 in groups of 32, 64 or 128 (compressed-tensors, "
        "pack-quantized); quantize the float checkpoint with pulse-quantize"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint folder. Raises UserError when the folder or the file is not there or not JSON."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a checkpoint folder, or pulse-nano")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no {CONFIG}, so this is no checkpoint; give a checkpoint folder") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG}: cannot be read as JSON ({error}); download it again") from None
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG}: is not a JSON object; download it again")
    return config


def copy_side_files(source: Path, out: Path) -> None:
    """Tokenizer, licence and card come along; weights, their index and config.json are written anew."""
    for pattern in COPIED:
        for path in source.glob(pattern):
            if path.is_file() and path.name != CONFIG and not path.name.endswith(".safetensors.index.json"):
                shutil.copyfile(path, out / path.name)


def _add_quantized(writer: ShardWriter, layer: str, tensor: Tensor, group_size: int, source: Path) -> None:
    try:
        weight = quantize_int4(tensor, group_size)
    except ValueError as error:
        raise UserError(f"{source}: {layer}.weight cannot be quantized: {error}") from None
    writer.add(f"{layer}.weight_packed", pack(weight.codes))
    writer.add(f"{layer}.weight_scale", weight.scales)
    writer.add(f"{layer}.weight_shape", torch.tensor(weight.codes.shape))


def _to_half(name: str, tensor: Tensor, source: Path) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise UserError(f"{source}: {name} holds NaN, infinity or values beyond float16; train or convert it again")
    return half
