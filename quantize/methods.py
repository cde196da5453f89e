"""gptq and awq over a whole model: layer by layer, each calibrated on what the quantized layers before it give.

One layer's weights are in memory at a time; the rest stays in the mapped checkpoint, and the activations of all texts
lie on disk (quantize.steps), so a run that was killed goes on with the layer it was at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.store import load_state
from pulse.files.memory import BASE, give_back
from pulse.model.config import Config
from pulse.model.llama import Layer, rotary
from pulse.model.llava import Llava
from quantize.awq import clip_to_integers, input_factors
from quantize.calibration import Calibration, Pages, dialogues, page_features
from quantize.gptq import gptq
from quantize.integers import IntWeight, dequantize
from quantize.layers import stored
from quantize.precision import Precision
from quantize.scheme import METHODS, Scheme
from quantize.steps import Found, Steps


def check_method(method: str, precision: Precision) -> None:
    """Raises UserError for a method that is not known, and for nf4, which has a table and no steps."""
    if method not in METHODS:
        raise UserError(f"method {method} is not known; use one of rtn, {', '.join(METHODS)}")
    if not isinstance(precision.of_part("decoder"), Scheme):
        raise UserError(f"--method {method} chooses integers, and nf4 has none; use --method rtn")


@torch.no_grad()
def calibrate(
    source: Checkpoint,
    precision: Precision,
    calibration: Calibration,
    tokenizer: Path,
    work: Path,
    progress: Callable[[str], None] = lambda name: None,
) -> Found:
    """The tensors of each weight that is calibrated, by our names: integers, and with awq also norms that changed.

    source: a float checkpoint; tokenizer: its tokenizer.json; work: a folder for what lies on disk meanwhile, the
    result too; a run that finds another's work there goes on with it. Decoder and projector are calibrated, and the
    head when it has integers; embeddings and vision tower are left to be rounded to nearest. Raises UserError as
    check_method, and for a source whose tensors do not match its config.
    """
    check_method(calibration.method, precision)
    with torch.device("meta"):
        model = Llava(source.config)
    load_state(model, dict(source.tensors()), source.folder)
    steps = Steps(work)
    _Calibration(model.eval().requires_grad_(False), precision, calibration.method, progress).run(
        steps, Tokenizer(tokenizer), calibration.pages
    )
    return steps.found()


def plan(config: Config, precision: Precision, method: str) -> int:
    """Bytes that calibrate takes at its peak, by rules that were measured: the vision tower, or a layer of the decoder
    with its second moments and what is computed from them, or with a whole context's activations."""
    text = config.text
    with torch.device("meta"):
        model = Llava(config)
    tower = sum(p.numel() for p in model.vision_tower.parameters())
    layer = sum(p.numel() for p in model.language_model.model.layers[0].parameters())
    inputs = max(text.hidden_size, text.intermediate_size)
    weight = text.hidden_size * text.intermediate_size
    rounding = max(6 * inputs**2 if method == "gptq" else 0, 5 * weight)
    context = text.max_position_embeddings * (4 * text.hidden_size + 3 * text.intermediate_size)
    peaks = [tower, layer + inputs**2 + max(rounding, context)]
    if isinstance(precision.of_part("head"), Scheme):
        peaks.append(6 * text.vocab_size * text.hidden_size + 2 * text.hidden_size**2)
    return BASE + 4 * max(peaks)


class _Moments:
    """Second moments [K, K] and mean absolute values [K] of what goes into a Linear."""

    def __init__(self, size: int) -> None:
        self.sum, self.sizes, self.count = torch.zeros(size, size), torch.zeros(size), 0

    def add(self, x: Tensor) -> None:
        rows = x.flatten(0, -2)
        self.sum += rows.T @ rows
        self.sizes += rows.abs().sum(0)
        self.count += len(rows)

    def means(self) -> tuple[Tensor, Tensor]:
        """Both, over all rows. In place, since the first is large: nothing can be added afterwards."""
        return self.sum.div_(self.count), self.sizes / self.count


class _Calibration:
    def __init__(self, model: Llava, precision: Precision, method: str, progress: Callable[[str], None]) -> None:
        self.model, self.precision, self.method, self.progress = model, precision, method, progress
        self.found: dict[str, IntWeight | Tensor] = {}  # in this step
        self.names = {module: name for name, module in model.named_modules()}

    def run(self, steps: Steps, tokenizer: Tokenizer, pages: Pages) -> None:
        """What is done already is passed over. Each step reads the last one's activations and gives the next one's."""
        layers = self.model.language_model.model.layers
        todo: list[Callable[[], Iterable[Tensor]]] = [
            partial(self.look, pages),
            partial(self.begin, pages, steps, tokenizer),
            *(partial(self.settle_layer, layer, steps) for layer in layers),
            partial(self.end, steps),
        ]
        for number, step in list(enumerate(todo))[steps.done :]:
            if number > 1:
                self.model.language_model.model.embed_tokens.to("meta")  # the texts are made
            self.found = {}
            steps.finish(step(), self.tensors)
            give_back()

    def look(self, pages: Pages) -> Iterator[Tensor]:
        with _in_memory(self.model.vision_tower) as tower:
            yield from page_features(tower, self.model.config.inference, pages)

    def begin(self, pages: Pages, steps: Steps, tokenizer: Tokenizer) -> Iterator[Tensor]:
        with _in_memory(self.model.multi_modal_projector) as projector:
            yield from dialogues(self.model, self.model.config.inference, tokenizer, pages, steps.states())
            for linear in (projector.linear_1, projector.linear_2):
                assert isinstance(linear, nn.Linear)
                self.settle([linear], projector, steps)

    def settle_layer(self, layer: nn.Module, steps: Steps) -> Iterator[Tensor]:
        """Quantize a decoder layer in the order of its data; gives what comes out of it."""
        text = self.model.config.text
        assert isinstance(layer, Layer)

        def forward(x: Tensor) -> Tensor:
            positions = torch.arange(x.shape[1])
            cos, sin = rotary(positions, text.head_dim, text.rope_theta)
            mask = positions[None, :] <= positions[:, None]
            output: Tensor = layer(x, cos, sin, mask, None)[0]
            return output

        attention, mlp = layer.self_attn, layer.mlp
        with _in_memory(layer):
            self.settle([attention.q_proj, attention.k_proj, attention.v_proj], forward, steps, layer.input_layernorm)
            # Heads that share a value cannot have factors of their own.
            self.settle(
                [attention.o_proj], forward, steps, attention.v_proj if attention.heads == attention.kv_heads else None
            )
            self.settle([mlp.gate_proj, mlp.up_proj], forward, steps, layer.post_attention_layernorm)
            self.settle([mlp.down_proj], forward, steps, mlp.up_proj)
            yield from map(forward, steps.states())

    def end(self, steps: Steps) -> Iterable[Tensor]:
        head, norm = self.model.language_model.lm_head, self.model.language_model.model.norm
        with _in_memory(head), _in_memory(norm):
            self.settle([head], lambda x: head(norm(x)), steps, norm)
        return ()

    def settle(
        self,
        linears: list[nn.Linear],
        forward: Callable[[Tensor], object],
        steps: Steps,
        before: nn.Module | None = None,
    ) -> None:
        """Quantize Linears that share their inputs. forward: sends a text's activations through them; before: the layer
        whose outputs they are, a norm or a Linear, where awq's factors can go."""
        names = [f"{self.names[linear]}.weight" for linear in linears]
        schemes = [self.precision.of(name, linear.weight) for name, linear in zip(names, linears, strict=True)]
        if not all(isinstance(scheme, Scheme) for scheme in schemes):
            return  # the part, or a shape, stays float16
        self.progress(names[0])
        second, sizes = _moments(linears[0], forward, steps).means()
        scheme = schemes[0]
        assert isinstance(scheme, Scheme)
        if self.method == "awq" and before is not None:
            factors = input_factors([linear.weight for linear in linears], second, sizes, scheme)
            for linear in linears:
                linear.weight *= factors
            self.divide(before, factors)
            second.div_(factors[:, None]).div_(factors)
        for name, linear in zip(names, linears, strict=True):
            try:
                weight = (gptq if self.method == "gptq" else clip_to_integers)(linear.weight, second, scheme)
            except ValueError as error:
                raise UserError(f"{name} cannot be quantized: {error}") from None
            linear.weight.copy_(dequantize(weight))
            self.found[name] = weight

    def divide(self, layer: nn.Module, factors: Tensor) -> None:
        """Divide a layer's outputs, by its weights. A Linear that was quantized before takes it into its scales."""
        name = f"{self.names[layer]}.weight"
        assert isinstance(layer.weight, Tensor)
        quantized = self.found.get(name)
        if isinstance(quantized, IntWeight):
            scales = (quantized.scales.float() / factors[:, None]).half()
            quantized = IntWeight(quantized.codes, scales, quantized.zeros, quantized.bits)
            self.found[name] = quantized
            layer.weight.copy_(dequantize(quantized))
        else:
            half = (layer.weight / (factors[:, None] if layer.weight.ndim == 2 else factors)).half()
            if not torch.isfinite(half).all():
                raise UserError(f"{name} holds NaN, infinity or values beyond float16; train or convert it again")
            layer.weight.copy_(half)
            self.found[name] = half

    def tensors(self) -> dict[str, Tensor]:
        """What this step found, as it is stored in a checkpoint."""
        tensors: dict[str, Tensor] = {}
        for name, found in self.found.items():
            layer = name.removesuffix(".weight")
            pieces = {"weight": found} if isinstance(found, Tensor) else stored(found, tuple(found.codes.shape))
            tensors |= {f"{layer}.{last}": piece.contiguous() for last, piece in pieces.items()}
        return tensors


class _Seen(Exception):
    """A Linear's inputs were added; what would come after them is not needed."""


def _moments(linear: nn.Linear, forward: Callable[[Tensor], object], steps: Steps) -> _Moments:
    moments = _Moments(linear.in_features)

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        moments.add(inputs[0])
        raise _Seen

    handle = linear.register_forward_pre_hook(look)
    try:
        for x in steps.states():
            with suppress(_Seen):
                forward(x)
    finally:
        handle.remove()
    return moments


@contextmanager
def _in_memory(part: nn.Module) -> Iterator[nn.Module]:
    """A part whose weights lie in the mapped checkpoint, in float32 and free to be changed; afterwards it has none."""
    for parameter in part.parameters():
        parameter.data = parameter.data.to(torch.float32, copy=True)
    try:
        yield part
    finally:
        part.to("meta")
