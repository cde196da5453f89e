"""The section `quantization_config` of config.json: ours, which compressed-tensors and bitsandbytes read, and others'
(quantize.formats)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from edge_runtime.errors import UserError, shorten
from pulse.checkpoint.checkpoint import CONFIG, Checkpoint
from quantize.formats.format import Refused, off, only
from quantize.formats.layout import FORMATS, INSTEAD, quantization_of
from quantize.precision import PARTS, Precision, part_of
from quantize.scheme import Nf4, Scheme

_SECTIONS = ("quantization_config", "compression_config")  # the names that config.json knows it by
# Where transformers and vLLM find the layers of each part. They name modules otherwise than checkpoints do (the head is
# outermost, "language_model.model" is "model.language_model"), so only what both names share is matched.
_TARGETS = {
    "decoder": r"re:.*language_model.*_proj$",
    "projector": r"re:.*multi_modal_projector\..*\d$",
    "vision": r"re:.*vision_tower.*(conv|_proj|fc\d)$",
    "embeddings": r"re:.*embed_tokens$",
    "head": r"re:.*lm_head$",
}
assert _TARGETS.keys() == PARTS.keys()


def section_of(precision: Precision, kept: Sequence[str]) -> dict[str, Any]:
    """The section for a checkpoint in which the layers `kept`, whose part is quantized, stayed float16."""
    schemes = {part: precision.of_part(part) for part in PARTS}
    floats = [_TARGETS[part] for part, scheme in schemes.items() if scheme is None]
    if isinstance(schemes["decoder"], Nf4):
        return {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": "float16",
            "bnb_4bit_quant_storage": "uint8",
            "bnb_4bit_use_double_quant": False,
            # bitsandbytes replaces every Linear whose name does not hold one of these.
            "llm_int8_skip_modules": ["vision_tower", *_skipped(schemes), *map(_tail, kept)],
        }
    groups: dict[str, Any] = {}
    for scheme in dict.fromkeys(schemes.values()):
        if not isinstance(scheme, Scheme):
            continue
        weights = {
            "num_bits": scheme.bits,
            "type": "int",
            "symmetric": scheme.symmetric,
            "strategy": "channel" if scheme.group_size is None else "group",
            "group_size": scheme.group_size,
            "dynamic": False,
        }
        targets = [_TARGETS[part] for part, own in schemes.items() if own == scheme]
        groups[f"group_{len(groups)}"] = {
            "targets": targets,
            "weights": weights,
            "input_activations": None,
            "output_activations": None,
        }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": groups,
        "ignore": [*floats, *map(_ignored, kept)],
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def without_section(config: Mapping[str, Any]) -> dict[str, Any]:
    """config.json's content for a checkpoint whose weights are floats again."""
    kept = {key: value for key, value in config.items() if key not in _SECTIONS}
    return {**kept, "text_config": without_section(kept["text_config"])} if "text_config" in kept else kept


def _skipped(schemes: dict[str, Any]) -> list[str]:
    names = {"projector": "multi_modal_projector", "head": "lm_head"}
    return [module for part, module in names.items() if schemes[part] is None]


def _ignored(name: str) -> str:
    part = "language_model.*" if part_of(name + ".weight") == "decoder" else ""
    return f"re:.*{part}{re.escape(_tail(name))}$"


def _tail(name: str) -> str:
    """A layer's name from where checkpoints and transformers agree on."""
    return name.removeprefix("language_model.").removeprefix("model.")


def kind_of(checkpoint: Checkpoint) -> str | None:
    """What the decoder's weights are: "int4", "int8" or "nf4"; None for a float checkpoint.

    Raises UserError for a quantization that this version does not read, naming what it is.
    """
    section = quantization_of(checkpoint)
    if section is None:
        return None
    try:
        return _kind(section)
    except Refused as error:
        reason = f"{error}{INSTEAD}"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it lacks or misnames a field ({error!r}); copy it again"
    raise UserError(f"{checkpoint.folder / CONFIG}: quantization_config: {reason}")


def _kind(section: Mapping[str, Any]) -> str:
    method = section["quant_method"]
    if method == "bitsandbytes":
        off(section, "load_in_8bit", "bnb_4bit_use_double_quant")
        only({"bnb_4bit_quant_type": section["bnb_4bit_quant_type"]}, "bnb_4bit_quant_type", "nf4")
        return "nf4"
    if method not in FORMATS:
        known = ", ".join((*FORMATS, "bitsandbytes"))
        raise Refused(f"quant_method {shorten(method)} is not supported; this version reads {known}")
    return FORMATS[method].kind(section)
