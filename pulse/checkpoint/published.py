"""LLaVA checkpoints as others publish them: their config.json and tensor names in our terms.

Three layouts: "llava_llama", the original LLaVA code's (PULSE-7B is published so), and transformers' "llava" and
"llava_next". What only those codes know (how the page is cut, what surrounds a question) becomes the section
"inference".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError
from edge_runtime.inference import Inference
from pulse.model.config import Config, Decoder, parse_inference
from pulse.model.towers.clip import ClipVision

ORIGINAL, LLAVA, LLAVA_NEXT = KINDS = ("llava_llama", "llava", "llava_next")
# llava_v1 of PULSE's conversation.py: "human" where Vicuna's own says "user"; a later turn follows </s> with no space.
PROMPT = {
    "system": "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions. ",
    "first_turn": "USER: <image>\n{question} ASSISTANT:",
    "next_turn": "USER: {question} ASSISTANT:",
    "add_bos": True,
}
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_LARGE_CLIP = "clip-vit-large-patch14-336"  # ClipVision's own sizes

# Ours for each published tensor, the first pattern that fits; all are tried, for transformers has renamed its own.
_RENAMED = (
    (r"(model\.)?mm_projector\.0\.", "multi_modal_projector.linear_1."),
    (r"(model\.)?mm_projector\.2\.", "multi_modal_projector.linear_2."),
    (r"(model\.)?multi_modal_projector\.", "multi_modal_projector."),
    (r"(model\.)?(vision_tower\.)+vision_model\.", "vision_tower.vision_model."),
    (r"vision_model\.", "vision_tower.vision_model."),
    (r"(model\.|language_model\.model\.)?image_newline$", "image_newline"),
    (r"model\.language_model\.", "language_model.model."),
    (r"language_model\.", "language_model."),
    (r"lm_head\.", "language_model.lm_head."),
    (r"model\.", "language_model.model."),
)
NEWLINE, TABLE = "image_newline", "language_model.model.embed_tokens.weight"


@dataclass(frozen=True)
class Published:
    """A config in our terms, and config.json's own content; vision: the folder that holds the tower's weights, None
    where the checkpoint does."""

    config: Config
    data: Mapping[str, Any]
    vision: Path | None = None

    def name_of(self, tensor: str) -> str | None:
        """Our name of one of the checkpoint's tensors, NEWLINE for the row's end; None for what the model never uses:
        CLIP's layers past the one that is read, and tables of positions that are computed."""
        name = next((new + tensor[m.end() :] for p, new in _RENAMED if (m := re.match(p, tensor))), tensor)
        if name == NEWLINE:
            return name if self.config.text.extra_embeddings else None
        if name.endswith((".position_ids", ".inv_freq")) or ".post_layernorm." in name:
            return None
        layer = re.match(r"vision_tower\.vision_model\.encoder\.layers\.(\d+)\.", name)
        assert isinstance(self.config.vision, ClipVision)
        return None if layer and int(layer[1]) >= self.config.vision.depth else name


def read_published(folder: Path, data: Mapping[str, Any]) -> Published:
    """config.json's `data`, of one of KINDS, in our terms. Raises UserError naming what this version cannot do."""
    path = folder / "config.json"
    try:
        return _original(folder, data) if data["model_type"] == ORIGINAL else _transformers(folder, data)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} lacks or misnames a field ({error!r}); download the checkpoint again") from None


def _original(folder: Path, data: Mapping[str, Any]) -> Published:
    path = folder / "config.json"
    _only(path, data, "mm_projector_type", "mlp2x_gelu")
    _only(path, data, "image_aspect_ratio", "anyres")
    _only(path, data, "mm_vision_select_feature", "patch")
    merge = data.get("mm_patch_merge_type", "flat")
    if merge not in ("flat", "spatial_unpad"):
        raise UserError(f"{path}: mm_patch_merge_type {merge!r} is not supported; use flat or spatial_unpad")
    name = data["mm_vision_tower"]
    tower = next((p for p in (folder / name, folder.parent / name, Path(name)) if (p / "config.json").is_file()), None)
    if tower is not None:
        vision = _clip(json.loads((tower / "config.json").read_text(encoding="utf-8")), data["mm_vision_select_layer"])
    elif Path(name).name == _LARGE_CLIP:
        vision = ClipVision(select_layer=data["mm_vision_select_layer"])
    else:
        raise UserError(f"{path}: its vision tower {name!r} is not here; put that folder beside the checkpoint")
    pinpoints = [(width, height) for width, height in data["image_grid_pinpoints"]]
    text = _llama(data, merge == "spatial_unpad")
    config = Config(vision, text, _inference(path, vision, text, pinpoints, merge, data), folder.name)
    # The original reads the tower from its own folder unless it was trained along.
    return Published(config, data, None if data.get("unfreeze_mm_vision_tower") else tower)


def _transformers(folder: Path, data: Mapping[str, Any]) -> Published:
    path = folder / "config.json"
    _only(path, data, "vision_feature_select_strategy", "default")
    _only(path, data, "projector_hidden_act", "gelu")
    text, following = data["text_config"], data["model_type"] == LLAVA_NEXT
    if (kind := text.get("model_type", "llama")) != "llama":
        raise UserError(f"{path}: its decoder is {kind!r}; this version reads llama")
    vision = _clip(data.get("vision_config", {}), data.get("vision_feature_layer", -2))
    # transformers reads the pairs as (height, width), whatever their author meant.
    pinpoints = [(w, h) for h, w in data.get("image_grid_pinpoints") or _PINPOINTS] if following else []
    decoder, merge = _llama(text, following), "spatial_unpad" if following else "flat"
    inference = _inference(path, vision, decoder, pinpoints, merge, {**text, **data})
    kept = {key: data[key] for key in ("quantization_config",) if key in data}
    return Published(Config(vision, decoder, inference, folder.name, kept), data)


def _only(path: Path, data: Mapping[str, Any], key: str, value: str) -> None:
    if data.get(key, value) != value:
        raise UserError(f"{path}: {key} {data[key]!r} is not supported; this version reads {value!r}")


def _clip(data: Mapping[str, Any], select_layer: int) -> ClipVision:
    """transformers writes only what differs from its own defaults, which are those of CLIP's base model."""
    if data.get("hidden_act", "quick_gelu") != "quick_gelu":
        raise UserError(f"vision tower with {data['hidden_act']}; this version reads CLIP with quick_gelu")
    side = data.get("image_size", 224)
    return ClipVision(
        height=side,
        width=side,
        in_channels=data.get("num_channels", 3),
        patch_size=data.get("patch_size", 32),
        hidden_size=data.get("hidden_size", 768),
        intermediate_size=data.get("intermediate_size", 3072),
        num_hidden_layers=data.get("num_hidden_layers", 12),
        num_attention_heads=data.get("num_attention_heads", 12),
        layer_norm_eps=data.get("layer_norm_eps", 1e-5),
        select_layer=select_layer,
    )


def _llama(data: Mapping[str, Any], newline: bool) -> Decoder:
    if data.get("rope_scaling") or data.get("attention_bias") or data.get("tie_word_embeddings"):
        raise UserError(
            "its decoder has rope_scaling, attention_bias or tied embeddings; this version reads none of them"
        )
    heads, size = data.get("num_attention_heads", 32), data.get("hidden_size", 4096)
    return Decoder(
        vocab_size=data.get("vocab_size", 32000),
        hidden_size=size,
        intermediate_size=data.get("intermediate_size", 11008),
        num_hidden_layers=data.get("num_hidden_layers", 32),
        num_attention_heads=heads,
        num_key_value_heads=data.get("num_key_value_heads") or heads,
        head_dim=data.get("head_dim") or size // heads,
        rms_norm_eps=data.get("rms_norm_eps", 1e-6),
        rope_theta=data.get("rope_theta", 1e4),
        max_position_embeddings=data.get("max_position_embeddings", 2048),
        extra_embeddings=int(newline),
    )


def questions() -> dict[str, Any]:
    """What is asked of a model that others published: default_question, findings and notice of its section "inference".

    The file is what pulse.instruct.questions says of the findings; a test holds both together.
    """
    return dict(json.loads((Path(__file__).parent / "questions.json").read_text(encoding="utf-8")))


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _inference(
    path: Path,
    vision: ClipVision,
    text: Decoder,
    pinpoints: list[tuple[int, int]],
    merge: str,
    data: Mapping[str, Any],
) -> Inference:
    generation = _generation(path.parent)
    end = generation.get("eos_token_id", data.get("eos_token_id", 2))
    tiled = {"mode": "anyres", "pinpoints": [list(pair) for pair in pinpoints], "merge": merge}
    section = {
        "preprocess": {
            **(tiled if pinpoints else {"mode": "crop"}),
            "width": vision.width,
            "height": vision.height,
            "channels": "rgb",
            "resample": "bicubic",
            "fill": 0,
            "mean": list(_CLIP_MEAN),
            "std": list(_CLIP_STD),
        },
        "prompt": PROMPT,
        # PULSE's evaluation decodes greedily, up to 1024 tokens.
        "generation": {"max_new_tokens": 1024, "temperature": 0.0, "top_p": 1.0, "top_k": 0},
        **questions(),
        "is_ecg": None,  # it was never taught to tell
        "bos_token_id": generation.get("bos_token_id", data.get("bos_token_id", 1)),
        "eos_token_ids": end if isinstance(end, list) else [end],
    }
    return parse_inference(section, text, str(path))
