"""CLIP and the projector as a GGUF file for llama.cpp's multimodal library, in its convention for LLaVA ("mmproj").

Names and keys are those of tools/mtmd/clip-impl.h in https://github.com/ggml-org/llama.cpp. The layer that LLaVA reads
is named outright; those past it are not in the file. llama.cpp's gelu is the tanh approximation, ours the error
function: features differ by about 1e-3.
"""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFWriter
from torch import nn

from export.targets.gguf.tensors import add_layer, add_plain
from pulse.model.config import Config
from pulse.model.llava import Llava
from pulse.model.towers.clip import ClipVision

# Our module of a layer -> its name in GGUF.
_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
}


def write_vision(model: Llava, config: Config, path: Path, half: bool) -> None:
    """Write tower and projector of a model with CLIP to `path`; half: weights of two dimensions in float16."""
    vision, preprocess = config.vision, config.inference.preprocess
    assert isinstance(vision, ClipVision)
    writer = GGUFWriter(path, "clip", use_temp_file=True)
    writer.add_name(config.name or "vision")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)  # "quick" gelu then
    sizes = {
        "image_size": vision.width,
        "patch_size": vision.patch_size,
        "embedding_length": vision.hidden_size,
        "feed_forward_length": vision.intermediate_size,
        "projection_dim": config.text.hidden_size,
        "block_count": vision.depth,
        "attention.head_count": vision.num_attention_heads,
    }
    for key, value in sizes.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", vision.layer_norm_eps)
    writer.add_array("clip.vision.feature_layer", [vision.depth])
    writer.add_array("clip.vision.image_mean", list(preprocess.mean))
    writer.add_array("clip.vision.image_std", list(preprocess.std))
    pinpoints = [side for pair in preprocess.pinpoints for side in pair]
    if pinpoints:
        writer.add_array("clip.vision.image_grid_pinpoints", pinpoints)
        writer.add_string("clip.vision.mm_patch_merge_type", preprocess.merge)
    tower = model.vision_tower.get_submodule("vision_model")
    add_plain(writer, "v.class_embd", tower.get_parameter("embeddings.class_embedding"))
    add_plain(writer, "v.patch_embd.weight", tower.get_parameter("embeddings.patch_embedding.weight"))
    add_plain(writer, "v.position_embd.weight", tower.get_parameter("embeddings.position_embedding.weight"))
    parts: dict[str, nn.Module] = {"v.pre_ln": tower.get_submodule("pre_layrnorm")}
    for k in range(vision.depth):
        layer = tower.get_submodule(f"encoder.layers.{k}")
        parts |= {f"v.blk.{k}.{theirs}": layer.get_submodule(ours) for ours, theirs in _LAYER.items()}
    parts |= {"mm.0": model.multi_modal_projector.linear_1, "mm.2": model.multi_modal_projector.linear_2}
    for name, module in parts.items():
        add_layer(writer, f"{name}.weight", module, half)
        add_plain(writer, f"{name}.bias", module.bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
