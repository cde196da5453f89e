"""Between which values the inputs and outputs of integer layers lie on ECG pages: Hexagon's activations are integers of
16 bits, with a scale and a zero point that are fixed when the graph is written.

Each page is read once, with the default question, each finding's, and the words of the findings as an answer would have
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.prefix import page_prefix
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from export.certificate.layerwise import Eyes, causal, sweep
from export.graph.parts import VisionGraph, widen
from export.targets.qnn.decoder import WindowDecoderGraph
from pulse.model.config import Config
from pulse.model.llava import Llava
from quantize.layers import IntConv2d, IntLinear

# Other pages and words give other values, and what lies outside is cut off. One of 16 bits is given for it.
HEADROOM = 2.0


@dataclass(frozen=True)
class Range:
    """least is 0 or below, most 0 or above: 0 is a value that the integers have."""

    least: float = 0.0
    most: float = 0.0

    def over(self, values: Tensor) -> Range:
        """This range, and what `values` need beyond it."""
        return Range(min(self.least, float(values.min())), max(self.most, float(values.max())))


@dataclass
class Ranges:
    """inputs, outputs: of integer layers, by their names in a graph's module (VisionGraph, WindowDecoderGraph). An
    output is a product's, before a linear layer's bias is added."""

    inputs: dict[str, Range] = field(default_factory=dict)
    outputs: dict[str, Range] = field(default_factory=dict)

    def watch(self, graph: nn.Module) -> None:
        """Note what goes through the integer layers of `graph` from now on."""
        for name, module in graph.named_modules():
            if isinstance(module, IntLinear | IntConv2d):
                module.register_forward_hook(self._note(name))

    def _note(self, name: str):  # type: ignore[no-untyped-def]
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(module, IntLinear) and module.bias is not None:
                output = output - module.bias
            self.inputs[name] = self.inputs.get(name, Range()).over(inputs[0])
            self.outputs[name] = self.outputs.get(name, Range()).over(output)

        return note

    def as_json(self) -> Mapping[str, Mapping[str, Sequence[float]]]:
        """Least and most, as they were seen."""
        return {
            kind: {name: [each.least, each.most] for name, each in found.items()}
            for kind, found in (("inputs", self.inputs), ("outputs", self.outputs))
        }


@torch.inference_mode()
def ranges_on(model: Llava, config: Config, tokenizer: Tokenizer, pages: Sequence[Path]) -> Ranges:
    """What the integer layers see of `pages`. Uses `model` up."""
    found, head = Ranges(), model.language_model.lm_head
    found.watch(VisionGraph(model))
    found.watch(WindowDecoderGraph(model, config.text))
    eyes = Eyes(model)
    read = [torch.from_numpy(_embeds(eyes, config, tokenizer, page)) for page in pages]
    hidden = sweep(model, read, [causal(len(each)) for each in read])
    widen(head)
    for states in hidden:
        head(states)
    return found


def _embeds(eyes: Eyes, config: Config, tokenizer: Tokenizer, page: Path) -> np.ndarray:
    """[S, D]: the page, all questions, and words that answers are made of, as far as the context goes."""
    inference = config.inference
    prompt = Prompt.of(inference, tokenizer)
    questions = [inference.default_question, *(finding.question for finding in inference.findings)]
    words = ". ".join(chain.from_iterable(finding.words for finding in inference.findings))
    ids = [*chain.from_iterable(map(prompt.after_image, questions)), *tokenizer.encode(words)]
    embeds = np.concatenate([page_prefix(page, eyes, inference, prompt).embeds, eyes.embed(ids)])
    return embeds[: config.text.max_position_embeddings]
