"""The decoder on ExecuTorch's own attention, in eager torch: pieces, branches and parts against the whole at once."""

from __future__ import annotations

import pytest
import torch

from export.targets.executorch.decoder import CachedDecoder
from pulse.model.llava import Llava

from .conftest import config

LENGTH = 40


@pytest.fixture(scope="module")
def model() -> Llava:
    torch.manual_seed(0)
    return Llava(config()).eval().requires_grad_(False)


def want(model: Llava, embeds: torch.Tensor) -> torch.Tensor:
    return model.language_model(embeds)[0][0]


@pytest.mark.parametrize("cuts", [[12], [1] * 12, [5, 1, 6]])
def test_any_split_of_a_sequence_gives_the_same_logits(model: Llava, cuts: list[int]) -> None:
    decoder, embeds, end = CachedDecoder(model.language_model, LENGTH), torch.randn(1, 12, 64), 0
    for size in cuts:
        logits = decoder(embeds[:, end : end + size], torch.arange(end, end + size))
        end += size
        assert logits.shape == (1, 1, 300)
        torch.testing.assert_close(logits[0, 0], want(model, embeds[:, :end]), atol=1e-5, rtol=1e-4)


def test_going_back_overwrites_what_lies_behind(model: Llava) -> None:
    decoder, stem, left, right = CachedDecoder(model.language_model, LENGTH), *torch.randn(3, 1, 6, 64)
    decoder(stem, torch.arange(6))
    decoder(left, torch.arange(6, 12))
    logits = decoder(right[:, :3], torch.arange(6, 9))
    torch.testing.assert_close(logits[0, 0], want(model, torch.cat([stem, right[:, :3]], 1)), atol=1e-5, rtol=1e-4)


def test_parts_of_the_layers_follow_each_other(model: Llava) -> None:
    first, last = (CachedDecoder(model.language_model, LENGTH, layers) for layers in (range(1), range(1, 2)))
    embeds = torch.randn(1, 7, 64)
    for start, end in ((0, 4), (4, 7)):
        places = torch.arange(start, end)
        hidden = first(embeds[:, start:end], places)
        assert hidden.shape == (1, end - start, 64)
        logits = last(hidden, places)
    torch.testing.assert_close(logits[0, 0], want(model, embeds), atol=1e-5, rtol=1e-4)
