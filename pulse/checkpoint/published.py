"""LLaVA checkpoints as others publish them: their config.json and tensor names in our terms.

Three layouts: "llava_llama", the original LLaVA code's (PULSE-7B is published so), and transformers' "llava" and
"llava_next". What only those codes know (how the page is cut, what surrounds a question) becomes the section
"inference".
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from edge_runtime.errors import UserError, shorten
from edge_runtime.inference import Inference
from pulse.checkpoint.llama_config import decoder_of
from pulse.checkpoint.llava_keys import check_keys
from pulse.files.side_file import read_json
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
    # transformers 5 leaves vision_model out.
    (r"(model\.)?(vision_tower\.)+(vision_model\.)?", "vision_tower.vision_model."),
    (r"vision_model\.", "vision_tower.vision_model."),
    (r"(?=(embeddings|encoder|pre_layrnorm)\.)", "vision_tower.vision_model."),  # a tower alone, by transformers 5
    (r"(model\.|language_model\.model\.)?image_newline$", "image_newline"),
    (r"model\.language_model\.", "language_model.model."),
    (r"language_model\.", "language_model."),
    (r"lm_head\.", "language_model.lm_head."),
    (r"model\.", "language_model.model."),
)
# Where else than in config.json quantizers describe their weights, and which one it is.
QUANTIZER_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
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


def is_original(data: Mapping[str, Any]) -> bool:
    """Whether config.json is of the original LLaVA code, whose first version called its own layout "llava"."""
    return data["model_type"] == ORIGINAL or ("text_config" not in data and "mm_projector_type" in data)


def read_published(folder: Path, data: Mapping[str, Any]) -> Published:
    """config.json's `data`, of one of KINDS, in our terms. Raises UserError naming what this version cannot do."""
    path = folder / "config.json"
    try:
        return _original(folder, data) if is_original(data) else _transformers(folder, data)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} lacks or misnames a field ({error!r}); download the checkpoint again") from None


def _original(folder: Path, data: Mapping[str, Any]) -> Published:
    path = folder / "config.json"
    check_keys(path, data)
    # The second value is what LLaVA's code takes where the key is absent.
    _only(path, data, "mm_projector_type", "linear", "mlp2x_gelu")
    _only(path, data, "mm_vision_select_feature", "patch", "patch")
    _only(path, data, "mm_use_im_start_end", False, False)
    aspect = _only(path, data, "image_aspect_ratio", "square", "anyres", "square")
    merge = _only(path, data, "mm_patch_merge_type", "flat", "flat", *(["spatial_unpad"] if aspect == "anyres" else []))
    name = data["mm_vision_tower"] if "mm_vision_tower" in data else data["vision_tower"]
    tower = next((p for p in (folder / name, folder.parent / name, Path(name)) if (p / "config.json").is_file()), None)
    if tower is not None:
        vision = _clip(path, read_json(tower / "config.json"), data["mm_vision_select_layer"])
    elif PureWindowsPath(name).name == _LARGE_CLIP:  # a path of either kind of machine
        vision = _selected(path, ClipVision(), data["mm_vision_select_layer"])
    else:
        raise UserError(f"{path}: its vision tower {name!r} is not here; put that folder beside the checkpoint")
    pinpoints = _pinpoints(path, data.get("image_grid_pinpoints"), vision.width) if aspect == "anyres" else []
    text = decoder_of(data, path, merge == "spatial_unpad")
    inference = _inference(path, vision, text, pinpoints, merge, data)
    config = Config(vision, text, inference, folder.name, quantization_in(folder, data))
    # The original reads the tower from its own folder unless it was trained along.
    return Published(config, data, None if data.get("unfreeze_mm_vision_tower") else tower)


def _pinpoints(path: Path, value: Any, side: int) -> list[tuple[int, int]]:
    """(width, height) of each grid: pairs of pixels, such pairs as text, or tiles as "(1x1),...,(3x3)", every grid
    between the two."""
    try:
        if isinstance(value, str) and (tiles := re.findall(r"\((\d+)x(\d+)\)", value)):
            (w0, h0), (w1, h1) = (map(int, tiles[at]) for at in (0, -1))
            return [(w * side, h * side) for w in range(w0, w1 + 1) for h in range(h0, h1 + 1)]
        pairs = ast.literal_eval(value) if isinstance(value, str) else value
        if not pairs:
            raise ValueError("no grids")
        return [(width, height) for width, height in pairs]
    except (ValueError, SyntaxError, TypeError):
        raise UserError(
            f"{path}: image_grid_pinpoints must be pairs of width and height but is {shorten(value)}; download the "
            "checkpoint again"
        ) from None


def _transformers(folder: Path, data: Mapping[str, Any]) -> Published:
    path = folder / "config.json"
    _only(path, data, "vision_feature_select_strategy", "default", "default")
    _only(path, data, "projector_hidden_act", "gelu", "gelu")
    _only(path, data, "multimodal_projector_bias", True, True)
    text, following = data["text_config"], data["model_type"] == LLAVA_NEXT
    if (kind := text.get("model_type", "llama")) != "llama":
        raise UserError(f"{path}: its decoder is {kind!r}; this version reads llama")
    vision = _clip(path, data.get("vision_config", {}), data.get("vision_feature_layer", -2))
    # transformers reads the pairs as (height, width), whatever their author meant.
    pinpoints = [(w, h) for h, w in data.get("image_grid_pinpoints") or _PINPOINTS] if following else []
    decoder, merge = decoder_of(text, path, following), "spatial_unpad" if following else "flat"
    inference = _inference(path, vision, decoder, pinpoints, merge, {**text, **data})
    return Published(Config(vision, decoder, inference, folder.name, quantization_in(folder, data)), data)


def quantization_in(folder: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """{"quantization_config": ...} of a checkpoint whose weights somebody quantized, wherever it says so."""
    text = data.get("text_config", {})
    for section in (data.get("quantization_config"), data.get("compression_config"), text.get("quantization_config")):
        if section:
            return {"quantization_config": section}
    for name, method in QUANTIZER_FILES.items():
        if (folder / name).is_file():
            return {"quantization_config": {"quant_method": method, **read_json(folder / name)}}
    return {}


def _only(path: Path, data: Mapping[str, Any], key: str, default: Any, *known: Any) -> Any:
    """The key's value, `default` where it is absent. Raises UserError when it is none of the known ones."""
    value = data.get(key)
    value = default if value is None else value
    if value not in known:
        absent = "" if data.get(key) is not None else " (what an absent key means)"
        reads = " or ".join(repr(one) for one in known)
        raise UserError(f"{path}: {key} {shorten(value)}{absent} is not supported; this version reads {reads}")
    return value


def _clip(path: Path, data: Mapping[str, Any], select_layer: Any) -> ClipVision:
    """transformers writes only what differs from its own defaults, which are those of CLIP's base model."""
    if data.get("hidden_act", "quick_gelu") != "quick_gelu":
        raise UserError(f"vision tower with {data['hidden_act']}; this version reads CLIP with quick_gelu")
    side = data.get("image_size", 224)
    vision = ClipVision(
        height=side,
        width=side,
        in_channels=data.get("num_channels", 3),
        patch_size=data.get("patch_size", 32),
        hidden_size=data.get("hidden_size", 768),
        intermediate_size=data.get("intermediate_size", 3072),
        num_hidden_layers=data.get("num_hidden_layers", 12),
        num_attention_heads=data.get("num_attention_heads", 12),
        layer_norm_eps=data.get("layer_norm_eps", 1e-5),
    )
    return _selected(path, vision, select_layer)


def _selected(path: Path, vision: ClipVision, layer: Any) -> ClipVision:
    """The tower read at a hidden state. Raises UserError when it has none of that number."""
    layers = vision.num_hidden_layers
    if not isinstance(layer, int) or isinstance(layer, bool) or not -layers - 1 <= layer <= layers:
        raise UserError(
            f"{path}: the tower's layer that is read is {shorten(layer)}; this version reads one whole number from "
            f"{-layers - 1} to {layers}"
        )
    return replace(vision, select_layer=layer)


def questions() -> dict[str, Any]:
    """What is asked of a model that others published: default_question, findings and notice of its section "inference".

    The file is what pulse.instruct.questions says of the findings; a test holds both together.
    """
    return dict(json.loads((Path(__file__).parent / "questions.json").read_text(encoding="utf-8")))


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return read_json(path) if path.is_file() else {}


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
