"""Tensors that are not those of config.json: the mistake behind it is named in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.load import load_model
from tests.published import change, golden_copy, rewrite, stored


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_model(Checkpoint.open(folder))
    return str(caught.value)


def test_wrong_and_missing_tensors_are_listed_in_one_message(tmp_path: Path) -> None:
    original = golden_copy(tmp_path)
    tensors = stored(original)
    del tensors["model.norm.weight"], tensors["model.layers.1.mlp.up_proj.weight"]
    tensors["lm_head.weight"] = torch.zeros(3, 3)
    tensors["model.resampler.weight"] = torch.zeros(1)
    rewrite(original, tensors)
    said = refused(original)
    assert "missing: language_model.model.layers.1.mlp.up_proj.weight, language_model.model.norm.weight" in said
    assert "unknown: language_model.model.resampler.weight" in said
    assert "of another shape: language_model.lm_head.weight [3, 3] where config.json says [2000, 64]" in said


def test_of_many_missing_tensors_the_first_and_their_number_are_told(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    tensors = stored(folder)
    decoder = [name for name in tensors if name.startswith("model.layers.")]
    rewrite(folder, {name: t for name, t in tensors.items() if name not in decoder})
    said = refused(folder)
    assert "missing: language_model.model.layers.0.input_layernorm.weight, language_model" in said
    assert f"... ({len(decoder)} in all)" in said
    assert said.count("language_model") == 3


def test_an_unfinished_single_file_beside_shards_is_named(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    whole = stored(folder)
    save_file({"model.norm.weight": whole["model.norm.weight"]}, folder / "model.safetensors")
    said = refused(folder)
    assert "holds both model.safetensors and model.safetensors.index.json, and model.safetensors, which is read" in said
    assert "remove model.safetensors if the shards are the model" in said
    # A whole one is taken, as transformers takes it.
    save_file(whole, folder / "model.safetensors")
    load_model(Checkpoint.open(folder))
    (folder / "model.safetensors").unlink()
    load_model(Checkpoint.open(folder))


def test_weights_of_pefts_wrapper_are_named(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    rewrite(folder, {f"base_model.model.{name}": t for name, t in stored(folder).items()})
    said = refused(folder)
    assert "as PEFT's wrapper saves them; save the model after merge_and_unload(), or give the adapter's folder" in said


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_without_their_index_are_named(tmp_path: Path, suffix: str) -> None:
    folder = golden_copy(tmp_path)
    (folder / "model.safetensors.index.json").unlink()
    index = "model.safetensors.index.json"
    first = "model-00001-of-00002.safetensors"
    if suffix == ".bin":
        for path in folder.glob("model-*"):
            path.unlink()
        index, first = "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"
        (folder / first).write_bytes(b"")
    assert f"holds {first} but no {index}, which says what is where; copy it too" in refused(folder)


@pytest.mark.parametrize("model", ["a", "unpad"])
def test_a_padded_vocabulary_that_the_config_does_not_know(tmp_path: Path, model: str) -> None:
    folder = golden_copy(tmp_path, model)
    tensors = stored(folder)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.cat([tensors[name], torch.zeros(48, tensors[name].shape[1])])
    rewrite(folder, tensors)
    said = refused(folder)
    assert "language_model.lm_head.weight [2048, 64] where config.json says [2000, 64]" in said
    assert "set vocab_size to 2048" in said
    change(folder, vocab_size=int(re.findall(r"set vocab_size to (\d+)", said)[0]))
    assert load_model(Checkpoint.open(folder)).config.text.vocab_size == 2048


def test_tables_that_differ_from_each_other_are_no_padding(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    tensors = stored(folder)
    tensors["lm_head.weight"] = torch.zeros(2048, 64)
    tensors["model.embed_tokens.weight"] = torch.zeros(2064, 64)
    rewrite(folder, tensors)
    said = refused(folder)
    assert "language_model.model.embed_tokens.weight [2064, 64] where config.json says [2000, 64]" in said
    assert "set vocab_size" not in said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, value: float, weights: str) -> None:
    folder = golden_copy(tmp_path)
    tensors = stored(folder)
    tensors["model.layers.1.mlp.up_proj.weight"][5, 7] = value
    rewrite(folder, tensors)
    with pytest.raises(UserError) as caught:
        load_model(Checkpoint.open(folder), weights)
    said = str(caught.value)
    assert "language_model.model.layers.1.mlp.up_proj.weight holds NaN or infinity (1 of 8192 numbers); train" in said


def test_the_largest_numbers_of_float32_are_numbers(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    tensors = stored(folder)
    tensors["model.norm.weight"][:] = torch.finfo(torch.float32).max
    rewrite(folder, tensors)
    load_model(Checkpoint.open(folder))
    with pytest.raises(UserError, match="holds values beyond float16; use --weights float32"):
        load_model(Checkpoint.open(folder), "float16")
