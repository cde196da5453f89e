"""Float checkpoint -> quantized checkpoint, a tensor at a time.

Integers go into the compressed-tensors `pack-quantized` layout: a quantized layer X is X.weight_packed int32,
X.weight_scale float16, X.weight_shape int64 and, when asymmetric, X.weight_zero_point int32 (quantize.layers). NF4 goes
into the layout of bitsandbytes (quantize.nf4). Everything else is float16. config.json gains the section
`quantization_config` that these libraries write, so transformers and vLLM know the weights too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.model.checkpoint import read_source
from pulse.model.published import ORIGINAL
from pulse.model.tokenizer import TOKENIZER, write_tokenizer
from pulse.model.weights import iter_tensors
from quantize import layers, nf4
from quantize.folder import new_folder
from quantize.integers import IntWeight, Scheme, quantize
from quantize.precision import Precision, part_of
from quantize.quantization_config import kind_of, section_of
from quantize.shards import ShardWriter

CONFIG = "config.json"
COPIED = ("*.json", "tokenizer.model", "README.md", "LICENSE*", "NOTICE*")


@dataclass(frozen=True)
class Summary:
    """What quantize_checkpoint did: layers quantized, layers whose part is but whose shape does not fit, bytes."""

    quantized: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_before: int
    bytes_after: int


def quantize_checkpoint(
    source: Path,
    out: Path,
    precision: Precision | None = None,
    calibrated: Mapping[str, IntWeight | Tensor] | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Summary:
    """Write `source`, quantized, to the new folder `out`, which appears whole or not at all.

    precision: by default Precision(). A weight whose inputs do not divide into groups stays float16, and is listed in
    the config's `ignore`. calibrated: what a calibrating method found, by tensor name: integers in place of those
    rounded to nearest, or a float tensor in place of the source's. progress is called with the name of each tensor.
    Raises UserError for a source that is no float checkpoint.
    """
    precision, calibrated = precision or Precision(), calibrated or {}
    config = read_config(source)
    published = None
    if config.get("model_type") == ORIGINAL:  # transformers' layouts stay, so that it can read the result
        ours, published = read_source(source)
        config = {**ours.to_json(), "name": source.name}
    if kind_of(config, source / CONFIG) is not None:
        raise UserError(f"{source}: is quantized already; give the float checkpoint it was made from")
    with new_folder(out) as part:
        copy_side_files(source, part)
        if published is not None:
            write_tokenizer(source, part / TOKENIZER)
        writer = ShardWriter(part)
        quantized, kept, before = [], [], 0
        for name, tensor in iter_tensors(source, published):
            progress(name)
            before += tensor.nbytes
            found = calibrated.get(name, tensor)
            scheme, layer = precision.of(name, tensor), name.removesuffix(".weight")
            if scheme is not None:
                for last, piece in _pieces(name, tensor, found, scheme, source).items():
                    writer.add(f"{layer}.{last}", piece)
                quantized.append(layer)
                continue
            part_name = part_of(name)
            if part_name is not None and precision.of_part(part_name) is not None:
                kept.append(layer)
            writer.add(name, _to_half(name, found if isinstance(found, Tensor) else tensor, source))
        if not quantized:
            raise UserError(f"{source}: no Linear weight of a language model fits; give a LLaVA checkpoint of ours")
        writer.close()
        config["quantization_config"] = section_of(precision, kept)
        config["torch_dtype"] = "float16"
        (part / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Summary(tuple(quantized), tuple(kept), before, writer.total_bytes)


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
            if path.is_file() and path.name != CONFIG and not path.name.endswith(".index.json"):
                shutil.copyfile(path, out / path.name)


def _pieces(
    name: str, tensor: Tensor, found: IntWeight | Tensor, scheme: Scheme | nf4.Nf4, source: Path
) -> dict[str, Tensor]:
    try:
        if isinstance(scheme, nf4.Nf4):
            return nf4.stored(tensor)
        weight = quantize(found.flatten(1), scheme) if isinstance(found, Tensor) else found
    except ValueError as error:
        raise UserError(f"{source}: {name} cannot be quantized: {error}") from None
    return layers.stored(weight, tuple(tensor.shape))


def _to_half(name: str, tensor: Tensor, source: Path) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise UserError(f"{source}: {name} holds NaN, infinity or values beyond float16; train or convert it again")
    return half
