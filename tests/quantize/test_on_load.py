"""Weights rounded as they are read: those of the checkpoint that pulse-quantize writes, and refusals in one line."""

from __future__ import annotations

import pytest
import torch

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from quantize import on_load
from quantize.load import load_model
from quantize.nf4 import Nf4Linear, stored
from quantize.on_load import load_in_bits
from tests.golden import GOLDEN

pytest.importorskip("bitsandbytes")
CPU = torch.device("cpu")
PULSE = GOLDEN / "a" / "checkpoint"
LAYER = "language_model.model.layers.0.self_attn.q_proj"


def test_4_bits_are_nf4_and_everything_else_is_what_it_was() -> None:
    whole, small = load_model(Checkpoint.open(PULSE)), load_in_bits(Checkpoint.open(PULSE), 4, CPU)
    layer = small.get_submodule(LAYER)
    assert isinstance(layer, Nf4Linear)
    weight = whole.get_submodule(LAYER).weight
    assert torch.equal(layer.codes, stored(weight)["weight"])
    named = dict(small.named_parameters())
    assert not [name for name in named if "_proj" in name and "language_model" in name]
    assert {"language_model.lm_head.weight", "multi_modal_projector.linear_1.weight"} <= named.keys()
    assert all(torch.equal(value, whole.get_parameter(name)) for name, value in named.items())


def test_8_bits_are_closer_than_4_and_give_the_type_that_they_get() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 7, 64)
    wanted = load_model(Checkpoint.open(PULSE)).get_submodule(LAYER)(x)
    four, eight = (load_in_bits(Checkpoint.open(PULSE), bits, CPU).get_submodule(LAYER)(x) for bits in (4, 8))
    assert eight.dtype == torch.float32
    error = [(got - wanted).norm() / wanted.norm() for got in (four, eight)]
    assert 0 < error[1] < 0.02 < error[0] < 0.15


def test_a_checkpoint_that_is_quantized_already_is_refused() -> None:
    with pytest.raises(UserError, match="its weights are int4 already; leave out --teacher-bits"):
        load_in_bits(Checkpoint.open(NANO), 4, CPU)


def test_a_device_that_bitsandbytes_does_not_know_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(weight: torch.Tensor) -> dict[str, torch.Tensor]:
        raise NotImplementedError("no kernel\nfor this device")

    monkeypatch.setattr(on_load, "stored", not_there)
    with pytest.raises(
        UserError, match=r"in 4 bits on cpu \('?no kernel for this device'?\); give --teacher-bits 8"
    ) as said:
        load_in_bits(Checkpoint.open(PULSE), 4, CPU)
    assert "\n" not in str(said.value)
