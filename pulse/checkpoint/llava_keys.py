"""What is done with each key of the config.json that LLaVA's own code writes.

READ ones are read by pulse.checkpoint.published and llama_config. NEUTRAL ones are about training, files or speed, and
change no answer. Any other key whose name is of the kind that changes what LLaVA computes is refused, unless it
switches something off: a wrong answer in silence is worse than a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError, shorten

READ = {
    "image_aspect_ratio",
    "image_grid_pinpoints",
    "mm_patch_merge_type",
    "mm_projector_type",
    "mm_use_im_start_end",
    "mm_vision_select_feature",
    "mm_vision_select_layer",
    "mm_vision_tower",
    "unfreeze_mm_vision_tower",
    "vision_tower",
    "attention_bias",
    "hidden_act",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "partial_rotary_factor",
    "sliding_window",
}
NEUTRAL = {
    "attention_dropout",
    "freeze_mm_mlp_adapter",
    "freeze_mm_vision_resampler",
    "image_crop_resolution",  # of image_aspect_ratio "highres" alone
    "image_split_resolution",
    "mm_hidden_size",  # the tensors' shapes say it
    "mm_projector_lr",
    "mm_tunable_parts",
    "mm_use_im_patch_token",  # a token that training adds and no prompt uses
    "mm_vision_tower_lr",
    "tune_mm_mlp_adapter",
    "tune_mm_vision_resampler",
    "use_mm_proj",
    "image_token_index",
    "vision_tower_pretrained",
}
_ARITHMETIC = re.compile(
    r"mm_|image_|vision_|video_|rope|rotary|attention_|attn_|norm_|s2|logit|embedding_mult|residual_|layer_types|no_rope"
    r"|alibi|position_embedding|parallel|use_parallel|qk_|use_qk|clip_|scale_|final_logit|query_pre|qkv_|use_bias|moe|num_exp"
    r"|num_local_exp|window|use_sliding"
)
_OFF: tuple[Any, ...] = (None, False, 0, "", [], {})


def check_keys(path: Path, data: Mapping[str, Any]) -> None:
    """Raises UserError for the first key that may change what the model computes and is not known here."""
    for key in sorted(data):
        if key in READ or key in NEUTRAL or not _ARITHMETIC.match(key) or data[key] in _OFF:
            continue
        raise UserError(
            f"{path}: {key} {shorten(data[key])} is not known to this version and may change what the model computes; "
            "remove the key if it does not"
        )
