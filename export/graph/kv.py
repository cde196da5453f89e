"""Scales for keys and values kept as int8: one for every channel of a head, found on pages before a graph is written.

Keys have a few channels far larger than the rest, which therefore need a scale of their own (Liu et al. 2024, KIVI,
arXiv 2402.02750); and one scale a channel is what ONNX Runtime's attention takes, so that no key is ever widened in
memory. A scale for every token would be closer (probabilities of pulse-nano off by at most 0.0015 instead of 0.0042),
but the whole cache would have to be widened at every token. Scales that are fixed cannot follow a page unlike those
they were found on: a certificate on other pages (`pulse-verify --pages`) shows what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_runtime.prefix import page_prefix
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from export.certificate.layerwise import Eyes, causal, sweep
from pulse.model.config import Config
from pulse.model.llava import Llava

# Other words give other keys, and what exceeds the range is cut off. Measured on pulse-nano's findings, whose questions
# are not among the prompts: mean differences of probabilities are 7.9e-3 with 1.1, 4.9e-4 with 2, 9.4e-4 with 4.
HEADROOM = 2.0


def kv_scales(model: Llava, config: Config, tokenizer: Tokenizer, pages: Sequence[Path]) -> list[Tensor]:
    """float32 [1, KV, 1, head_dim] for keys and values of each layer, alternating, so that the pages' fit -127 to 127.

    Every page is read with the default question, as `config.inference` says. Uses `model` up, layer by layer.
    """
    eyes = Eyes(model)
    prompts = [torch.from_numpy(_prompt(eyes, config, tokenizer, page)) for page in pages]
    shape = (1, config.text.num_key_value_heads, 1, config.text.head_dim)
    largest = [torch.zeros(shape) for _ in range(2 * config.text.num_hidden_layers)]

    def watch(layer: int, key: Tensor, value: Tensor) -> None:
        for k, found in ((2 * layer, _size(key, turned=True)), (2 * layer + 1, _size(value, turned=False))):
            largest[k] = torch.maximum(largest[k], found)

    sweep(model, prompts, [causal(len(prompt)) for prompt in prompts], watch)
    return [(size * HEADROOM / 127).clamp(min=1e-6) for size in largest]


def _size(tensor: Tensor, turned: bool) -> Tensor:
    """Largest magnitude of each channel of [1, KV, P, head_dim]. Keys are turned by position, two channels together:
    what bounds both at every position is the pair's length."""
    if turned:
        first, second = tensor.chunk(2, dim=-1)
        length = torch.hypot(first, second)
        tensor = torch.cat([length, length], dim=-1)
    return tensor.abs().amax(2, keepdim=True)


def _prompt(eyes: Eyes, config: Config, tokenizer: Tokenizer, page: Path) -> np.ndarray:
    """Embeddings [S, D] of the whole first turn."""
    prompt = Prompt.of(config.inference, tokenizer)
    after = prompt.after_image(config.inference.default_question)
    return np.concatenate([page_prefix(page, eyes, config.inference, prompt).embeds, eyes.embed(after)])
