"""The section `quantization_config` of config.json, as compressed-tensors and bitsandbytes write and read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import CONFIG, Checkpoint
from quantize.precision import PARTS, Precision, part_of
from quantize.scheme import GROUP_SIZES, Nf4, Scheme

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

    Raises UserError for a quantization that is not ours to read.
    """
    section = checkpoint.config.extra.get("quantization_config")
    if section is None:
        return None
    try:
        if section["quant_method"] == "bitsandbytes":
            plain = section["load_in_4bit"] and not section.get("bnb_4bit_use_double_quant")
            if plain and section["bnb_4bit_quant_type"] == "nf4":
                return "nf4"
        elif (section["quant_method"], section["format"]) == ("compressed-tensors", "pack-quantized"):
            groups = [group["weights"] for group in section["config_groups"].values()]
            if groups and all(_known(weights) for weights in groups):
                return f"int{groups[0]['num_bits']}"
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # refused below, in the same words as any other unknown quantization
    raise UserError(
        f"{checkpoint.folder / CONFIG}: "
        "quantization_config is neither int4 or int8 of compressed-tensors (pack-quantized, by channel or in "
        "groups of 32, 64 or 128) nor plain nf4 of bitsandbytes; quantize the float checkpoint with pulse-quantize"
    )


def _known(weights: dict[str, Any]) -> bool:
    size = {"channel": None, "group": weights["group_size"]}[weights["strategy"]]
    return weights["type"] == "int" and weights["num_bits"] in (4, 8) and size in (None, *GROUP_SIZES)
