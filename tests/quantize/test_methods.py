"""gptq and awq: less error than rounding to nearest, the same layout, and exact answers to what they cannot do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from quantize.awq import clip_to_integers, input_factors
from quantize.gptq import gptq
from quantize.integers import IntWeight, dequantize, grouped, parameters, quantize
from quantize.scale_search import clipped_parameters
from quantize.scheme import INT4, INT8, Scheme


def layer() -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [48, 128] and inputs [500, 128] that depend on each other, a few of them much larger than the rest."""
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(48, 128, generator=draw)
    inputs = torch.randn(500, 40, generator=draw) @ torch.randn(40, 128, generator=draw)
    inputs[:, ::16] *= 10
    return weight, inputs


def output_error(weight: torch.Tensor, rounded: IntWeight, inputs: torch.Tensor) -> float:
    return float((inputs @ (dequantize(rounded) - weight).T).norm() / (inputs @ weight.T).norm())


@pytest.mark.parametrize("scheme", [INT4, Scheme(4, 128), Scheme(4, 32, False), INT8], ids=str)
@pytest.mark.parametrize(("method", "gain"), [(gptq, 0.6), (clip_to_integers, 0.98)])
def test_outputs_are_nearer_than_with_rounding_to_nearest(
    method: Callable[[torch.Tensor, torch.Tensor, Scheme], IntWeight], gain: float, scheme: Scheme
) -> None:
    weight, inputs = layer()
    moments = inputs.T @ inputs / len(inputs)
    nearest, ours = quantize(weight, scheme), method(weight, moments, scheme)
    assert ours.codes.shape == nearest.codes.shape
    assert ours.scales.shape == nearest.scales.shape
    assert (ours.zeros is None) == scheme.symmetric
    assert (int(ours.codes.min()), int(ours.codes.max())) >= (scheme.codes[0], 0)
    if method is clip_to_integers and scheme is INT8:
        gain = 1.001  # nothing to gain from clipping 256 levels
    assert output_error(weight, ours, inputs) < gain * output_error(weight, nearest, inputs)


def test_gptq_takes_inputs_that_never_came() -> None:
    weight, inputs = layer()
    inputs[:, 5] = 0
    found = gptq(weight, inputs.T @ inputs, INT4)
    assert torch.isfinite(dequantize(found)).all()
    assert output_error(weight, found, inputs) < output_error(weight, quantize(weight), inputs)


def test_scales_clip_only_where_that_helps() -> None:
    weight, inputs = layer()
    groups = grouped(weight, INT4)
    scales, _ = clipped_parameters(groups, inputs.T @ inputs, INT4)
    widest = parameters(groups, INT4)[0]
    assert (scales <= widest).all()
    assert 0.1 < (scales < widest).float().mean() < 1


def test_awq_gives_large_inputs_finer_steps() -> None:
    weight, inputs = layer()
    moments, sizes = inputs.T @ inputs / len(inputs), inputs.abs().mean(0)
    factors = input_factors([weight], moments, sizes, INT4)
    large = torch.zeros(128, dtype=torch.bool)
    large[::16] = True
    assert factors[large].min() > factors[~large].median()
    nearest = output_error(weight, quantize(weight), inputs)
    assert output_error(weight * factors, quantize(weight * factors), inputs / factors) < 0.9 * nearest


def test_awq_leaves_alone_what_needs_no_factors() -> None:
    factors = input_factors([torch.randn(48, 128)], torch.eye(128), torch.ones(128), INT4)
    torch.testing.assert_close(factors, torch.ones(128))
