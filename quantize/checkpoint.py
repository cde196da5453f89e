"""Float checkpoint -> quantized checkpoint, a tensor at a time.

Integers go into the compressed-tensors `pack-quantized` layout: a quantized layer X is X.weight_packed int32,
X.weight_scale float16, X.weight_shape int64 and, when asymmetric, X.weight_zero_point int32 (quantize.layers). NF4 goes
into the layout of bitsandbytes (quantize.nf4). Everything else is float16. config.json gains the section
`quantization_config` that these libraries write, so transformers and vLLM know the weights too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import CONFIG, Checkpoint
from pulse.checkpoint.published import QUANTIZER_FILES, is_original
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.files.folder import OUT, work_folder
from pulse.files.memory import BASE, Meter, check_plan
from quantize import layers, methods, nf4
from quantize.calibration import Calibration
from quantize.formats.layout import quantization_of
from quantize.integers import quantize
from quantize.precision import Precision, part_of
from quantize.quantization_config import kind_of, section_of
from quantize.scheme import Nf4, Scheme
from quantize.shards import SHARD_BYTES, ShardWriter

# transformers 5 leaves vision_model out, and reads the names of 4, which does not read its own.
_SHORT_TOWER = re.compile(r"^(model\.)?vision_tower\.(?!vision_model\.)")
COPIED = ("*.json", "tokenizer.model", "README.md", "LICENSE*", "NOTICE*")


@dataclass(frozen=True)
class Summary:
    """What quantize_checkpoint did: layers quantized, layers whose part is but whose shape does not fit, bytes, and the
    peaks of its memory."""

    quantized: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_before: int
    bytes_after: int
    meter: Meter


def quantize_checkpoint(
    source: Checkpoint,
    out: Path,
    precision: Precision | None = None,
    calibration: Calibration | None = None,
    progress: Callable[[str], None] = lambda name: None,
    max_memory: int | None = None,
    meter: Meter | None = None,
) -> Summary:
    """Write `source`, quantized, to the new folder `out`, which appears whole or not at all; run again after a kill, it
    goes on from the last layer that was calibrated, or the last whole shard.

    precision: by default Precision(). A weight whose inputs do not divide into groups stays float16, and is listed in
    the config's `ignore`. calibration: a method that looks at pages (quantize.methods); by default each weight is
    rounded to nearest. progress is called with the name of each tensor. max_memory: bytes that it may take; meter:
    where its peaks are added. memory.json in `out` tells them.
    Raises UserError for a source that is no float checkpoint, and before any work when it would take more memory.
    """
    precision, meter = precision or Precision(), meter or Meter()
    if (kind := kind_of(source)) is not None:
        raise UserError(
            f"{source.folder}: is quantized already ({_by_whom(source, kind)}); export it as it is, with these very "
            "integers, or give the float checkpoint it was made from (--scheme float16 makes floats of it)"
        )
    # The names of tensors in transformers' layouts stay, so that it can read the result; what was found has ours.
    stays = source.published if stays_as_published(source) else None
    stored = replace(source, published=None) if stays else source
    stages = {"quantize": plan(stored)}
    if calibration is not None:
        methods.check_method(calibration.method, precision)
        stages["calibrate"] = methods.plan(source.config, precision, calibration.method)
    check_plan(stages, max_memory)
    with work_folder(out, _recipe(source, precision, calibration)) as work:
        part = work / OUT
        copy_side_files(source.folder, part)
        if source.published is not None and (calibration is not None or not stays):
            source.write_tokenizer(part / TOKENIZER)
        found: Mapping[str, dict[str, Tensor]] = {}
        if calibration is not None:
            with meter.stage("calibrate"):
                found = methods.calibrate(
                    source, precision, calibration, part / TOKENIZER, work / "calibration", progress
                )
        with meter.stage("quantize"):
            writer = ShardWriter(part)
            quantized, kept, before = [], [], 0
            for stored_name, tensor in stored.tensors():
                name = _SHORT_TOWER.sub(r"\g<0>vision_model.", stored_name) if stays else stored_name
                progress(name)
                before += tensor.nbytes
                scheme, layer = precision.of(name, tensor), name.removesuffix(".weight")
                part_name = part_of(name)
                if part_name == "embeddings" and stays and source.config.text.extra_embeddings:
                    scheme = None  # image_newline, which lies apart in this layout, would be a row of it
                if scheme is not None:
                    quantized.append(layer)
                elif part_name is not None and precision.of_part(part_name) is not None:
                    kept.append(layer)
                if name not in writer.done and f"{layer}.{layers.PACKED}" not in writer.done:
                    pieces = found.get((stays and stays.name_of(name)) or name)
                    if pieces is None:
                        writer.add(_stored(name, tensor, scheme, source.folder))
                    else:
                        writer.add({f"{layer}.{last}": piece for last, piece in pieces.items()})
            if not quantized:
                raise UserError(
                    f"{source.folder}: no Linear weight of a language model fits; give a LLaVA checkpoint of ours"
                )
            writer.close()
            section = section_of(precision, kept)
            write_config(part, {**config_as_stored(source), "quantization_config": section, "torch_dtype": "float16"})
        meter.write(part)
    return Summary(tuple(quantized), tuple(kept), before, writer.total_bytes, meter)


def plan(source: Checkpoint) -> int:
    """Bytes that quantize_checkpoint takes at its peak: the libraries, a shard, and the largest tensor four times (in
    the file, what becomes of it, and on the way)."""
    largest = max(tensor.nbytes for _, tensor in source.tensors())
    return BASE + SHARD_BYTES + 4 * largest


def stays_as_published(checkpoint: Checkpoint) -> bool:
    """Whether what is made of the checkpoint keeps its layout: transformers' do, the original LLaVA code's does not."""
    published = checkpoint.published
    return published is not None and not is_original(published.data)


def config_as_stored(source: Checkpoint) -> dict[str, Any]:
    """config.json's content for a checkpoint made of `source`, in the layout that it is written in."""
    if source.published is not None and stays_as_published(source):
        return dict(source.published.data)
    return source.config.to_json()


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json into a checkpoint folder."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def copy_side_files(source: Path, out: Path) -> None:
    """Tokenizer, licence and card come along; weights, their index and config.json are written anew."""
    for pattern in COPIED:
        for path in source.glob(pattern):
            anew = path.name in (CONFIG, *QUANTIZER_FILES) or path.name.endswith(".index.json")
            if path.is_file() and not anew:
                shutil.copyfile(path, out / path.name)


def _by_whom(source: Checkpoint, kind: str) -> str:
    """The quantizer's method as config.json names it, and the weights' kind."""
    section = quantization_of(source) or {}
    return f"{section['quant_method']}, {kind}"


def _recipe(source: Checkpoint, precision: Precision, calibration: Calibration | None) -> dict[str, Any]:
    looked_at = calibration and [calibration.method, calibration.pages.identity]
    return {"source": source.identity(), "precision": asdict(precision), "calibration": looked_at}


def _stored(name: str, tensor: Tensor, scheme: Scheme | Nf4 | None, source: Path) -> dict[str, Tensor]:
    """What a source tensor becomes in the quantized checkpoint when it is rounded to nearest, by tensor name."""
    if scheme is None:
        return {name: _to_half(name, tensor, source)}
    try:
        if isinstance(scheme, Nf4):
            pieces = nf4.stored(tensor)
        else:
            pieces = layers.stored(quantize(tensor.flatten(1), scheme), tuple(tensor.shape))
    except ValueError as error:
        raise UserError(f"{source}: {name} cannot be quantized: {error}") from None
    return {f"{name.removesuffix('.weight')}.{last}": piece for last, piece in pieces.items()}


def _to_half(name: str, tensor: Tensor, source: Path) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise UserError(f"{source}: {name} holds NaN, infinity or values beyond float16; train or convert it again")
    return half
