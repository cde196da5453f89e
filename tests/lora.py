"""A LoRA folder on the golden checkpoint, made by PEFT itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file

from tests.golden import GOLDEN

BASE = GOLDEN / "a" / "checkpoint"  # llava_llama


def trained(folder: Path, llava: bool, **lora: object) -> torch.nn.Module:
    """Train nothing, but leave in `folder` what training leaves; returns the decoder that PEFT merges."""
    data = json.loads((BASE / "config.json").read_text())
    sizes = {k: v for k, v in data.items() if k in transformers.LlamaConfig().to_dict() and k != "model_type"}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).float()
    state = {name: t for path in sorted(BASE.glob("*.safetensors")) for name, t in load_file(path).items()}
    model.load_state_dict({name: t.float() for name, t in state.items() if name in model.state_dict()})
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj", "down_proj"], **lora)
    wrapped = peft.get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)  # PEFT begins with zeros, which change nothing
    wrapped.save_pretrained(folder)
    if llava:
        shutil.copy(BASE / "config.json", folder)
        name = "model.mm_projector.0.bias"
        torch.save({f"base_model.model.{name}": state[name] + 1}, folder / "non_lora_trainables.bin")
    return wrapped.merge_and_unload().eval()
