"""A second opinion on the decoder: optimum exports it as transformers' Llama, and both ONNX graphs must agree.

optimum cannot make the bundle itself: it knows no LLaVA, takes token ids and no image features, traces through
TorchScript, and writes float weights where ours are the checkpoint's integers. So it checks; docs/onnx.md says more.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edge_runtime.engines._onnx_decoders import BoundDecoder
from edge_runtime.inference import ModelSpec
from export.manifest import manifest_of
from export.target import find
from export.targets.onnx.graphs import write_graphs
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.load import load_model

transformers = pytest.importorskip("transformers")
pytest.importorskip("optimum.exporters.onnx")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    """The shipped decoder, its 4-bit weights widened, through optimum-cli and its validation."""
    folder = tmp_path_factory.mktemp("optimum")
    model, config = load_model(Checkpoint.open("pulse-nano"), "float32"), Checkpoint.open("pulse-nano").config
    text = config.text
    llama = transformers.LlamaConfig(
        vocab_size=text.vocab_size,
        hidden_size=text.hidden_size,
        intermediate_size=text.intermediate_size,
        num_hidden_layers=text.num_hidden_layers,
        num_attention_heads=text.num_attention_heads,
        num_key_value_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        rms_norm_eps=text.rms_norm_eps,
        rope_theta=text.rope_theta,
        max_position_embeddings=text.max_position_embeddings,
        tie_word_embeddings=False,
    )
    other = transformers.LlamaForCausalLM(llama)
    other.load_state_dict(model.language_model.state_dict())
    other.save_pretrained(folder / "llama")
    command = [Path(sys.executable).with_name("optimum-cli"), "export", "onnx", "--model", folder / "llama"]
    command += ["--task", "text-generation-with-past", folder / "onnx"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ort.InferenceSession(folder / "onnx" / "model.onnx")


def test_optimums_decoder_gives_our_int4_decoders_logits(theirs: ort.InferenceSession, tmp_path: Path) -> None:
    source = Checkpoint.open("pulse-nano")
    model, config = load_model(source, "int4"), source.config
    artifacts = write_graphs(model, config, "int4", tmp_path)
    spec = ModelSpec(**{**manifest_of(config, source, find("onnx"), "int4", artifacts)["model"], "eos_token_ids": ()})
    embed = ort.InferenceSession(tmp_path / artifacts["embed"])
    decoder = BoundDecoder(ort.InferenceSession(tmp_path / artifacts["decoder"]), spec)
    ids = np.random.default_rng(0).integers(0, config.text.vocab_size, (1, 40))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(40)[None]}
    for argument in theirs.get_inputs():
        if argument.name.startswith("past_key_values"):
            feeds[argument.name] = np.zeros((1, spec.kv_heads, 0, spec.head_dim), np.float32)
    want = theirs.run(["logits"], feeds)[0][0]
    assert want.std() > 1
    (embeds,) = embed.run(None, {"input_ids": ids})
    cache = decoder.empty_cache()
    for begin, end in ((0, 23), (23, 24), (24, 40)):  # prefill, one token, and some more after a cache
        logits, cache = decoder.decode(embeds[0, begin:end], cache)
        np.testing.assert_allclose(logits, want[end - 1], atol=1e-3, rtol=1e-4)
