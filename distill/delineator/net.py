"""The network of edge_runtime.waves.net in torch, with batch normalisation, which is folded away for the runtime."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_runtime.waves.net import CHANNELS, CLASSES, STEM, Weights, layers

_EPSILON = 1e-5  # of batch normalisation


class Unet(nn.Module):
    """Normalized samples [leads, n] to scores [leads, n, 4]; n is a multiple of edge_runtime.waves.net.MULTIPLE."""

    def __init__(self) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for name, taps, wide, out in layers():
            stem = name == "stem"
            self.convs[name] = nn.Conv1d(wide, out, taps, 2 if stem else 1, (STEM - 2) // 2 if stem else taps // 2)
            if name != "head":
                self.norms[name] = nn.BatchNorm1d(out, _EPSILON)

    def forward(self, signal: Tensor) -> Tensor:
        x, kept = self._step(signal[:, None], "stem"), []
        for level in range(len(CHANNELS)):
            if level:
                kept.append(x)
                x = F.max_pool1d(x, 2)
            x = self._step(self._step(x, f"down{level}a"), f"down{level}b")
        for level in reversed(range(len(CHANNELS) - 1)):
            x = torch.cat([x.repeat_interleave(2, 2), kept[level]], 1)
            x = self._step(self._step(x, f"up{level}a"), f"up{level}b")
        return self.convs["head"](x).transpose(1, 2).reshape(len(signal), -1, len(CLASSES))

    def _step(self, x: Tensor, name: str) -> Tensor:
        return F.relu(self.norms[name](self.convs[name](x)))

    @torch.no_grad()
    def folded(self) -> Weights:
        """What edge_runtime.waves.net.log_probabilities runs: float32 [taps x in, out] and [out] of each layer."""
        made: Weights = {}
        for name, conv in self.convs.items():
            tensors = conv.state_dict()
            weight, bias = tensors["weight"], tensors["bias"]
            if name in self.norms:
                norm = self.norms[name].state_dict()
                scale = norm["weight"] / torch.sqrt(norm["running_var"] + _EPSILON)
                weight, bias = weight * scale[:, None, None], (bias - norm["running_mean"]) * scale + norm["bias"]
            made[f"{name}.w"] = weight.permute(2, 1, 0).reshape(-1, weight.shape[0]).numpy().copy()
            made[f"{name}.b"] = bias.numpy().copy()
        return made
