"""The network of signals in torch, and its weights as edge_runtime.signal_net runs them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_runtime.signal_input import ROWS
from edge_runtime.signal_net import BLOCKS, CHANNELS, KERNEL, STEM, Weights
from pulse.model.towers._conv_net import ConvNorm, fold_norms


class SignalBlock(nn.Module):
    """Basic residual block (He et al. 2015, arXiv 1512.03385) in one dimension; halve: at half the rate."""

    def __init__(self, c_in: int, c_out: int, halve: bool):
        super().__init__()
        self.conv1 = _along(c_in, c_out, KERNEL, 2 if halve else 1)
        self.conv2 = _along(c_out, c_out, KERNEL, 1)
        self.skip = None if c_in == c_out and not halve else _along(c_in, c_out, 1, 1)
        self.halve = halve

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        if self.halve:
            x = F.avg_pool2d(x, (1, 2))
        return F.relu(y + (x if self.skip is None else self.skip(x)))


class SignalTower(nn.Module):
    """leads [N, 24, 1024] (edge_runtime.signal_input) -> what the whole recording shows [N, width]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_along(ROWS, CHANNELS[0], STEM, 2), nn.ReLU(), nn.MaxPool2d((1, 2))]
        for stage, width in enumerate(CHANNELS):
            layers.append(SignalBlock(CHANNELS[max(stage - 1, 0)], width, stage > 0))
            layers += [SignalBlock(width, width, False) for _ in range(BLOCKS - 1)]
        self.layers = nn.Sequential(*layers)
        self.whole = nn.Linear(2 * CHANNELS[-1], CHANNELS[-1])

    def forward(self, leads: Tensor) -> Tensor:
        steps = self.layers(leads[:, :, None])[:, :, 0]  # [N, width, steps]
        whole: Tensor = self.whole(torch.cat([steps.mean(2), steps.amax(2)], dim=1))
        return whole


class SignalNet(nn.Module):
    """leads [N, 24, 1024] -> log odds [N, k] of the targets, and the rate [N] (distill.targets)."""

    def __init__(self, targets: int, dropout: float = 0.0):
        super().__init__()
        self.tower, self.drop = SignalTower(), nn.Dropout(dropout)
        self.head = nn.Linear(CHANNELS[-1], targets + 1)

    def forward(self, leads: Tensor) -> tuple[Tensor, Tensor]:
        out = self.head(self.drop(self.tower(leads)))
        return out[:, :-1], out[:, -1]


@torch.no_grad()
def exported(net: SignalNet, columns: list[int]) -> Weights:
    """The weights of those targets' log odds: norms folded into the convolutions, the two last layers, between which
    nothing bends, into one, and rows of taps x channels in; float32."""
    folded = fold_norms(net.tower)
    found: dict[str, Tensor] = {}
    stage, part = -1, 0
    for at, layer in enumerate(net.tower.layers):
        if at == 0:
            found |= _layer("stem", folded, f"layers.{at}")
        elif isinstance(layer, SignalBlock):
            stage, part = (stage + 1, 0) if layer.halve or stage < 0 else (stage, part + 1)
            for name, short in (("conv1", "a"), ("conv2", "b"), ("skip", "skip")):
                if f"layers.{at}.{name}.conv.weight" in folded:
                    found |= _layer(f"{stage}.{part}.{short}", folded, f"layers.{at}.{name}")
    head, bias = net.head.weight[columns], net.head.bias[columns]
    whole = net.tower.whole
    found |= {"head.w": (head @ whole.weight).T, "head.b": head @ whole.bias + bias}
    return {name: np.ascontiguousarray(value.float().numpy()).astype(np.float32) for name, value in found.items()}


def _layer(name: str, folded: dict[str, Tensor], theirs: str) -> dict[str, Tensor]:
    """[out, in, 1, taps] as [taps x in, out]."""
    weight = folded[f"{theirs}.conv.weight"][:, :, 0]
    return {f"{name}.w": weight.permute(2, 1, 0).flatten(0, 1), f"{name}.b": folded[f"{theirs}.conv.bias"]}


def _along(c_in: int, c_out: int, kernel: int, stride: int) -> ConvNorm:
    return ConvNorm(c_in, c_out, (1, kernel), (1, stride), (0, kernel // 2), True)
