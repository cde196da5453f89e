"""What LoRA training leaves, made by PEFT itself: merged on reading it is the model that PEFT merges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.checkpoint import quantize_checkpoint
from quantize.cli import main as quantize
from quantize.load import load_model
from quantize.precision import Precision
from tests.lora import BASE, trained


@pytest.mark.parametrize("llava", [False, True])
@pytest.mark.parametrize("rslora", [False, True])
def test_it_is_merged_as_peft_merges_it(llava: bool, rslora: bool, tmp_path: Path) -> None:
    merged = trained(tmp_path / "lora", llava, use_rslora=rslora).state_dict()
    checkpoint, base = Checkpoint.open(tmp_path / "lora", BASE), Checkpoint.open(BASE)
    model, before = load_model(checkpoint).state_dict(), load_model(base).state_dict()
    for name, tensor in merged.items():
        ours = model[f"language_model.{name}"]
        torch.testing.assert_close(ours, tensor, rtol=1e-3, atol=1e-3)  # the golden weights are float16
        changed = any(part in name for part in ("q_proj", "v_proj", "down_proj"))
        assert torch.equal(ours, before[f"language_model.{name}"]) != changed
    bias = "multi_modal_projector.linear_1.bias"
    torch.testing.assert_close(model[bias], before[bias] + (1 if llava else 0), rtol=1e-3, atol=1e-3)
    assert (checkpoint.name, checkpoint.digest() != base.digest()) == ("lora", True)


def test_the_base_that_it_names_is_taken(tmp_path: Path) -> None:
    trained(tmp_path / "lora", llava=False)
    path = tmp_path / "lora" / "adapter_config.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "base_model_name_or_path": str(BASE)}))
    assert Checkpoint.open(tmp_path / "lora").folder == BASE
    path.write_text(json.dumps({**data, "base_model_name_or_path": str(tmp_path / "gone")}))
    with pytest.raises(UserError, match=r"is an adapter \(LoRA\) whose base model is not here .*; give it with --base"):
        Checkpoint.open(tmp_path / "lora")
    path.write_text(json.dumps({**data, "base_model_name_or_path": None}))
    with pytest.raises(UserError, match="that names no base model; give it with --base"):
        Checkpoint.open(tmp_path / "lora")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"use_dora": True}, "use_dora True is not supported; merge it with peft itself"),
        ({"peft_type": "IA3"}, "peft_type 'IA3' is not supported"),
        ({"bias": "all"}, "bias 'all' is not supported"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern .* is not supported"),
        ({"r": 0}, "r and lora_alpha must be numbers"),
        ({"lora_alpha": "12"}, "r and lora_alpha must be numbers"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' is not supported"),
        ({"layer_replication": [[0, 2], [0, 2]]}, "layer_replication .* is not supported"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens .* is not supported"),
    ],
)
def test_what_is_not_plain_lora_is_named(fields: dict, said: str, tmp_path: Path) -> None:
    trained(tmp_path / "lora", llava=False)
    path = tmp_path / "lora" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    with pytest.raises(UserError, match=said):
        Checkpoint.open(tmp_path / "lora", BASE)


def test_another_base_is_named(tmp_path: Path) -> None:
    trained(tmp_path / "lora", llava=False)
    path = tmp_path / "lora" / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_A" in name)
    save_file({**tensors, name: tensors[name][:, :8].contiguous()}, path)
    with pytest.raises(UserError, match=r"does not fit the base model's .* give the base that it was trained on"):
        load_model(Checkpoint.open(tmp_path / "lora", BASE))
    save_file({name.replace("layers.1", "layers.7"): t for name, t in tensors.items()}, path)
    with pytest.raises(UserError, match=r"changes model\.layers\.7\..*, which its base model does not have"):
        load_model(Checkpoint.open(tmp_path / "lora", BASE))
    path.unlink()
    with pytest.raises(UserError, match=r"no adapter_model\.safetensors; copy the adapter again"):
        load_model(Checkpoint.open(tmp_path / "lora", BASE))


BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "_load_in_4bit": True}


def test_qlora_is_merged_into_the_float_base(tmp_path: Path) -> None:
    """LLaVA's QLoRA leaves the quantization of its training in the adapter's config.json; the base on disk is float."""
    merged = trained(tmp_path / "lora", llava=True).state_dict()
    path = tmp_path / "lora" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": BNB}))
    model = load_model(Checkpoint.open(tmp_path / "lora", BASE)).state_dict()
    name = "model.layers.0.self_attn.q_proj.weight"
    torch.testing.assert_close(model[f"language_model.{name}"], merged[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scheme", ["int4-g32", "nf4"])
@pytest.mark.parametrize("llava", [False, True])
def test_a_quantized_base_is_named(
    scheme: str, llava: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "lora", llava)
    base = tmp_path / "base"
    precision = Precision(scheme)
    quantize_checkpoint(Checkpoint.open(BASE), base, precision)
    assert quantize([str(tmp_path / "lora"), "--base", str(base), "--out", str(tmp_path / "out")]) == 2
    method = "bitsandbytes" if scheme == "nf4" else "compressed-tensors"
    said = f"is an adapter (LoRA), and its base model {base} is quantized ('{method}'): nothing can be merged into"
    error = capsys.readouterr().err
    assert said in error
    assert "give the float model that it was quantized from with --base MODEL" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_base_that_says_elsewhere_that_it_is_quantized_is_named(tmp_path: Path) -> None:
    trained(tmp_path / "lora", llava=False)
    shutil.copytree(BASE, tmp_path / "base")
    (tmp_path / "base" / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 128}))
    with pytest.raises(UserError, match=r"is quantized \('gptq'\): nothing can be merged"):
        Checkpoint.open(tmp_path / "lora", tmp_path / "base")


def test_a_base_without_an_adapter_is_refused() -> None:
    with pytest.raises(UserError, match="is no adapter, so it has no base model; leave --base out"):
        Checkpoint.open(BASE, BASE)
