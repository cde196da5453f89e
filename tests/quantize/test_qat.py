"""Quantization-aware training: rounded values forward, the identity backward, and a lower error after rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge_runtime.errors import UserError
from quantize.integers import dequantize, quantize
from quantize.precision import Precision
from quantize.qat import call_rounded, rounded
from quantize.scheme import Scheme

SCHEME = Scheme(4, 64)
PRECISION = Precision("int4-g64", {"head": 8})


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.language_model = nn.ModuleDict({"q_proj": nn.Linear(64, 8), "lm_head": nn.Linear(64, 8)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.language_model["q_proj"](x)


def test_weights_are_what_a_checkpoint_gets() -> None:
    torch.manual_seed(0)
    model = Model()
    found = rounded(dict(model.named_parameters()), PRECISION)
    layers = model.language_model
    assert torch.allclose(
        found["language_model.q_proj.weight"], dequantize(quantize(layers["q_proj"].weight, SCHEME)), atol=1e-7
    )
    head = quantize(layers["lm_head"].weight, Scheme(8, None))
    assert torch.allclose(found["language_model.lm_head.weight"], dequantize(head), atol=1e-7)
    assert found["language_model.q_proj.bias"] is layers["q_proj"].bias


def test_gradient_is_that_of_the_float_weight() -> None:
    torch.manual_seed(0)
    model, x = Model(), torch.randn(5, 64)
    before = model.language_model["q_proj"].weight.detach().clone()
    call_rounded(model, PRECISION, x).sum().backward()
    weight = model.language_model["q_proj"].weight
    torch.testing.assert_close(weight.grad, x.sum(0).expand(8, 64))
    assert torch.equal(weight.detach(), before)


def test_training_for_the_rounding_leaves_less_error_after_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 20) @ torch.randn(20, 64)  # inputs with freedom left: many weights fit, some round well
    wanted = x @ torch.randn(64, 8)

    def error_after_rounding(aware: bool) -> float:
        torch.manual_seed(1)
        model = Model()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for step in range(400):
            optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / 400)
            answer = call_rounded(model, PRECISION, x) if aware else model(x)
            optimizer.zero_grad()
            (answer - wanted).square().mean().backward()
            optimizer.step()
        return float((call_rounded(model, PRECISION, x) - wanted).square().mean().detach())

    assert error_after_rounding(True) < 0.5 * error_after_rounding(False)


def test_nf4_is_refused() -> None:
    with pytest.raises(UserError, match="nf4 cannot be trained for; use an int4 scheme or int8"):
        rounded({"language_model.q_proj.weight": torch.zeros(8, 64)}, Precision("nf4"))
