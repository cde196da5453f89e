"""The decoder as a GGUF file for llama.cpp, with the checkpoint's own integers as Q4_0: what peers are measured with.

A Q4_0 block is a float16 scale and 32 codes stored from 0 up, code j in the low and code j + 16 in the high half of
byte j: symmetric groups of 32 fit it bit for bit. llama.cpp turns neighbouring rows of queries and keys where ours turn
row i with row i + head_dim / 2, so those rows change places; a row's groups stay whole.
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from edge_runtime.errors import UserError
from pulse.model.config import Config
from pulse.model.llama import Layer
from pulse.model.llava import Llava
from quantize.integers import INT4
from quantize.layers import IntLinear

BLOCK, BLOCK_BYTES = 32, 18
_EXTRA = "pip install pulse-edge[peers]"
# Our module of a layer -> its name in GGUF.
_LINEAR = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NORM = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def write_decoder(model: Llava, config: Config, path: Path) -> None:
    """Write the decoder of `model` to `path`, without a vocabulary: it takes token ids and gives logits.

    Raises UserError when the gguf package is missing, or a quantized layer has no Q4_0 form.
    """
    try:
        from gguf import GGMLQuantizationType, GGUFWriter
    except ImportError:
        raise UserError(f"the gguf package is not installed; {_EXTRA}") from None
    text, language_model = config.text, model.language_model
    writer = GGUFWriter(path, "llama")
    writer.add_name(config.name or "decoder")
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_key_length(text.head_dim)
    writer.add_value_length(text.head_dim)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_dimension_count(text.head_dim)
    writer.add_rope_freq_base(text.rope_theta)
    writer.add_vocab_size(text.vocab_size)
    writer.add_tokenizer_model("no_vocab")

    def add(name: str, layer: nn.Module, heads: int = 0) -> None:
        if isinstance(layer, IntLinear):
            blocks = q4_0(layer)
            writer.add_tensor(name, paired(blocks, heads), raw_dtype=GGMLQuantizationType.Q4_0)
        else:
            assert isinstance(layer.weight, Tensor)
            writer.add_tensor(name, paired(layer.weight.detach().half().numpy(), heads))

    add("token_embd.weight", language_model.model.embed_tokens)
    for k, layer in enumerate(language_model.model.layers):
        assert isinstance(layer, Layer)
        heads = {"attn_q": text.num_attention_heads, "attn_k": text.num_key_value_heads}
        for ours, theirs in _LINEAR.items():
            add(f"blk.{k}.{theirs}.weight", layer.get_submodule(ours), heads.get(theirs, 0))
        for ours, theirs in _NORM.items():
            writer.add_tensor(f"blk.{k}.{theirs}.weight", _norm(layer.get_submodule(ours)))
    writer.add_tensor("output_norm.weight", _norm(language_model.model.norm))
    add("output.weight", language_model.lm_head)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def q4_0(layer: IntLinear) -> np.ndarray:
    """The layer's integers as Q4_0 blocks, uint8 [N, K / 32 * 18]. Raises UserError for any scheme but int4-g32."""
    if layer.scheme != INT4:
        raise UserError("Q4_0 holds symmetric 4-bit groups of 32 alone; quantize with --scheme int4-g32")
    weight = layer.int_weight
    codes = (weight.codes.numpy() + 8).astype(np.uint8).reshape(len(weight.codes), -1, BLOCK)  # [N, G, 32]
    packed = codes[..., : BLOCK // 2] | codes[..., BLOCK // 2 :] << 4
    scales = np.ascontiguousarray(weight.scales.numpy())[..., None].view(np.uint8)  # [N, G, 2]
    return np.concatenate([scales, packed], axis=2).reshape(len(codes), -1)


def paired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows [heads * head_dim, ...] with i and i + head_dim / 2 of each head side by side; heads 0: unchanged."""
    if not heads:
        return rows
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def _norm(layer: nn.Module) -> np.ndarray:
    assert isinstance(layer.weight, Tensor)
    return layer.weight.detach().float().numpy()
