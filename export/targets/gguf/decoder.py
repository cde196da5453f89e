"""The decoder as a GGUF file for llama.cpp, with the checkpoint's own integers.

llama.cpp turns neighbouring rows of queries and keys where ours turn row i with row i + head_dim / 2, so those rows
change places; a row's groups stay whole.
"""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFWriter

from export.targets.gguf.tensors import add_layer
from export.targets.gguf.vocab import add_vocabulary
from pulse.files.memory import release_mapped
from pulse.model.config import Config
from pulse.model.llama import Layer
from pulse.model.llava import Llava

# Our module of a layer -> its name in GGUF.
_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_decoder(
    model: Llava, config: Config, path: Path, sentencepiece: Path | None = None, half: bool = True
) -> None:
    """Write the decoder of `model` to `path`.

    sentencepiece: the tokenizer.model that goes in; None for a decoder that takes token ids and gives logits, without
    words. half: floats in float16, not float32. Raises UserError when a quantized layer has no Q4_0 form, or as
    add_vocabulary does.
    """
    text, language_model = config.text, model.language_model
    writer = GGUFWriter(path, "llama", use_temp_file=True)  # tensors wait on disk until their header is written
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
    if sentencepiece is None:
        writer.add_tokenizer_model("no_vocab")
    else:
        add_vocabulary(writer, config, sentencepiece)
    # The row past the vocabulary, where a layout has one, is no token's.
    table = language_model.model.embed_tokens
    add_layer(writer, "token_embd.weight", table, half, rows=text.vocab_size)
    heads = {"attn_q": text.num_attention_heads, "attn_k": text.num_key_value_heads}
    for k, layer in enumerate(language_model.model.layers):
        assert isinstance(layer, Layer)
        for ours, theirs in _LAYER.items():
            add_layer(writer, f"blk.{k}.{theirs}.weight", layer.get_submodule(ours), half, heads.get(theirs, 0))
        release_mapped()
    add_layer(writer, "output_norm.weight", language_model.model.norm, half)
    add_layer(writer, "output.weight", language_model.lm_head, half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
