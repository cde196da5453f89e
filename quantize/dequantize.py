"""Quantized checkpoint -> float16 checkpoint with the very same values: to quantize otherwise, or to train on."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.folder import new_folder
from quantize.checkpoint import config_as_stored, copy_side_files, write_config
from quantize.load import load_model
from quantize.quantization_config import kind_of, without_section
from quantize.shards import ShardWriter


def dequantize_checkpoint(source: Checkpoint, out: Path) -> int:
    """Write `source` to the new folder `out`, which appears whole or not at all; returns the bytes of its weights.

    A 4-bit integer times its float16 scale is rounded to float16 (by at most 2^-11 of it). Raises UserError for a
    source that is no quantized checkpoint.
    """
    if kind_of(source) is None:
        raise UserError(f"{source.folder}: is a float checkpoint already; give a quantized one")
    model = load_model(source, "float16")
    with new_folder(out) as part:
        copy_side_files(source.folder, part)
        writer = ShardWriter(part)
        for name, tensor in model.state_dict().items():
            writer.add({name: tensor.half() if tensor.is_floating_point() else tensor})
        writer.close()
        write_config(part, without_section(config_as_stored(source)))
    return writer.total_bytes
