"""What llama.cpp gets: the checkpoint's integers, bit for bit, and rows where it looks for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from edge_runtime.errors import UserError
from export.gguf_decoder import write_decoder
from export.gguf_tensors import paired, q4_0
from pulse.model.config import Config
from pulse.model.llava import Llava
from quantize.integers import Scheme
from quantize.layers import IntLinear
from quantize.load import load_model, quantize_model
from quantize.precision import Precision
from quantize.source import checkpoint_folder

from .conftest import config as tiny


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Llava, Config, Path]:
    model, config = load_model(checkpoint_folder("pulse-nano"), "int4")
    path = tmp_path_factory.mktemp("gguf") / "decoder.gguf"
    write_decoder(model, config, path)
    return model, config, path


def test_every_layer_dequantizes_to_the_checkpoints_weight(decoder: tuple[Llava, Config, Path]) -> None:
    model, config, path = decoder
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert len(tensors) == 9 * config.text.num_hidden_layers + 3
    for k, layer in enumerate(model.language_model.model.layers):
        for ours, theirs, heads in (
            ("mlp.down_proj", "ffn_down", 0),
            ("self_attn.o_proj", "attn_output", 0),
            ("self_attn.q_proj", "attn_q", config.text.num_attention_heads),
            ("self_attn.k_proj", "attn_k", config.text.num_key_value_heads),
        ):
            tensor = tensors[f"blk.{k}.{theirs}.weight"]
            assert tensor.tensor_type == gguf.GGMLQuantizationType.Q4_0
            linear = layer.get_submodule(ours)
            assert isinstance(linear, IntLinear)
            want = paired(linear.float_weight.numpy(), heads)
            assert np.array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), want)


def test_paired_rows_turn_as_neighbours() -> None:
    rows = np.arange(8)[:, None]
    assert paired(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert paired(rows, 0) is rows


def test_other_schemes_have_no_q4_0_form() -> None:
    with pytest.raises(UserError, match="int4-g32"):
        q4_0(IntLinear(64, 8, Scheme(4, 64)))
    with pytest.raises(UserError, match="int4-g32"):
        q4_0(IntLinear(64, 8, Scheme(4, 32, symmetric=False)))


def test_llama_cpp_gives_our_logits(tmp_path: Path) -> None:
    peer = pytest.importorskip("llama_cpp", reason="the extra `peers` is not installed: it compiles llama.cpp")
    torch.manual_seed(0)
    config = dataclasses.replace(tiny(), name="tiny")
    model = Llava(config).eval()
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.15)
    quantize_model(model, Precision())
    write_decoder(model, config, tmp_path / "d.gguf")
    peer.llama_backend_init()
    loaded = peer.llama_model_load_from_file(str(tmp_path / "d.gguf").encode(), peer.llama_model_default_params())
    context = peer.llama_init_from_model(loaded, peer.llama_context_default_params())
    ids = torch.randint(config.text.vocab_size, (1, 20))
    tokens = (peer.llama_token * 20)(*ids[0].tolist())
    assert peer.llama_decode(context, peer.llama_batch_get_one(tokens, 20)) == 0
    got = np.ctypeslib.as_array(peer.llama_get_logits(context), (config.text.vocab_size,))
    with torch.no_grad():
        want = model.language_model(model.language_model.model.embed_tokens(ids))[0][0].numpy()
    # llama.cpp rounds activations to 8 bits in groups.
    assert np.linalg.norm(got - want) < 5e-2 * np.linalg.norm(want)
    assert np.corrcoef(got, want)[0, 1] > 0.998
