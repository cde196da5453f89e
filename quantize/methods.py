"""gptq and awq over a whole model: layer by layer, each calibrated on what the quantized layers before it give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from pulse.model.llama import Layer, rotary
from pulse.model.llava import Llava
from quantize.awq import clip_to_integers, input_factors
from quantize.calibration import dialogues, page_features
from quantize.gptq import gptq
from quantize.integers import IntWeight, Scheme, dequantize
from quantize.load import load_model
from quantize.precision import Precision

METHODS = ("gptq", "awq")


def calibrate(
    source: Path,
    precision: Precision,
    method: str,
    pages: Sequence[np.ndarray],
    progress: Callable[[str], None] = lambda name: None,
) -> dict[str, IntWeight | Tensor]:
    """What quantize_checkpoint takes as `calibrated`: integers, and with awq also the norms and weights that changed.

    pages: uint8 [H, W, 3]. Decoder and projector are calibrated, and the head when it has integers; embeddings and
    vision tower are rounded to nearest. Raises UserError for nf4, which has a table and no steps, and for a source that
    is no float checkpoint.
    """
    if method not in METHODS:
        raise UserError(f"method {method} is not known; use one of rtn, {', '.join(METHODS)}")
    if not isinstance(precision.of_part("decoder"), Scheme):
        raise UserError(f"--method {method} chooses integers, and nf4 has none; use --method rtn")
    model, _ = load_model(source, "float32")
    return _Calibration(model, precision, method, progress).run(source, pages)


class _Moments:
    """Second moments [K, K] and mean absolute values [K] of what goes into a Linear."""

    def __init__(self, size: int) -> None:
        self.sum, self.sizes, self.count = torch.zeros(size, size), torch.zeros(size), 0

    def add(self, x: Tensor) -> None:
        rows = x.flatten(0, -2)
        self.sum += rows.T @ rows
        self.sizes += rows.abs().sum(0)
        self.count += len(rows)

    @property
    def second(self) -> Tensor:
        return self.sum / self.count

    @property
    def mean_size(self) -> Tensor:
        return self.sizes / self.count


class _Calibration:
    def __init__(self, model: Llava, precision: Precision, method: str, progress: Callable[[str], None]) -> None:
        self.model, self.precision, self.method, self.progress = model, precision, method, progress
        self.found: dict[str, IntWeight | Tensor] = {}
        self.names = {module: name for name, module in model.named_modules()}

    @torch.no_grad()
    def run(self, source: Path, pages: Sequence[np.ndarray]) -> dict[str, IntWeight | Tensor]:
        model, projector = self.model, self.model.multi_modal_projector
        seen = list(page_features(model, model.config, pages))
        # The answers are the float model's: made before anything is rounded.
        tokenizer = Tokenizer(source / "tokenizer.json")
        texts = list(dialogues(model, model.config, tokenizer, seen))
        for linear in (projector.linear_1, projector.linear_2):
            self.settle([linear], lambda: [projector(x) for x in seen])
        hidden = texts
        backbone = model.language_model.model
        for layer in backbone.layers:
            assert isinstance(layer, Layer)
            hidden = self.settle_layer(layer, hidden)
        head = model.language_model.lm_head
        self.settle([head], lambda: [head(backbone.norm(x)) for x in hidden], backbone.norm)
        return self.found

    def settle_layer(self, layer: Layer, hidden: list[Tensor]) -> list[Tensor]:
        """Quantize a decoder layer in the order of its data; returns what comes out of it."""
        text = self.model.config.text

        def run() -> list[Tensor]:
            outputs = []
            for x in hidden:
                positions = torch.arange(x.shape[1])
                cos, sin = rotary(positions, text.head_dim, text.rope_theta)
                mask = positions[None, :] <= positions[:, None]
                outputs.append(layer(x, cos, sin, mask, None)[0])
            return outputs

        attention, mlp = layer.self_attn, layer.mlp
        self.settle([attention.q_proj, attention.k_proj, attention.v_proj], run, layer.input_layernorm)
        # Heads that share a value cannot have factors of their own.
        self.settle([attention.o_proj], run, attention.v_proj if attention.heads == attention.kv_heads else None)
        self.settle([mlp.gate_proj, mlp.up_proj], run, layer.post_attention_layernorm)
        self.settle([mlp.down_proj], run, mlp.up_proj)
        return run()

    def settle(self, linears: list[nn.Linear], run: Callable[[], object], before: nn.Module | None = None) -> None:
        """Quantize Linears that share their inputs. run: sends the calibration data through them; before: the layer
        whose outputs they are, a norm or a Linear, where awq's factors can go."""
        names = [f"{self.names[linear]}.weight" for linear in linears]
        schemes = [self.precision.of(name, linear.weight) for name, linear in zip(names, linears, strict=True)]
        if not all(isinstance(scheme, Scheme) for scheme in schemes):
            return  # the part, or a shape, stays float16
        self.progress(names[0])
        moments = _Moments(linears[0].in_features)
        with _watch(linears[0], moments):
            run()
        second = moments.second
        scheme = schemes[0]
        assert isinstance(scheme, Scheme)
        if self.method == "awq" and before is not None:
            factors = input_factors([linear.weight for linear in linears], second, moments.mean_size, scheme)
            for linear in linears:
                linear.weight *= factors
            self.divide(before, factors)
            second = second / factors[:, None] / factors
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
            layer.weight.copy_((layer.weight / (factors[:, None] if layer.weight.ndim == 2 else factors)).half())
            self.found[name] = layer.weight.detach().clone()


@contextmanager
def _watch(linear: nn.Linear, moments: _Moments) -> Iterator[None]:
    handle = linear.register_forward_pre_hook(lambda module, inputs: moments.add(inputs[0]))
    try:
        yield
    finally:
        handle.remove()
