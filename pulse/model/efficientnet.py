"""EfficientNet-Lite (Tan and Le 2019, arXiv 1905.11946; the Lite variant has no squeeze-and-excitation and ReLU6 for
swish, so that phones' integer units take it) as a vision tower, and its ImageNet weights.

Convolutions are padded evenly on both sides, as every runtime does it by itself; TensorFlow, where the weights come
from, pads one pixel more at the far side when it halves an even side. Training goes on from them anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.config import EfficientVision
from pulse.model.conv import ConvNorm, page_tokens

_EPS = 1e-3  # TensorFlow's


class MobileBlock(nn.Module):
    """Inverted residual (Sandler et al. 2018, arXiv 1801.04381): widen, look, narrow."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expand: int, norm: bool):
        super().__init__()
        wide = c_in * expand
        self.expand = ConvNorm(c_in, wide, 1, 1, 0, norm, eps=_EPS) if expand != 1 else None
        self.depthwise = ConvNorm(wide, wide, kernel, stride, kernel // 2, norm, groups=wide, eps=_EPS)
        self.project = ConvNorm(wide, c_out, 1, 1, 0, norm, eps=_EPS)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(wide)))
        return x + out if self.residual else out


class EfficientTower(nn.Module):
    """pixels [N, C, H, W] -> tokens [N, 1 + rows * columns, hidden]; the first token averages the whole page."""

    def __init__(self, config: EfficientVision):
        super().__init__()
        norm, before = config.batch_norm, config.stem
        self.stem = ConvNorm(config.in_channels, before, 3, 2, 1, norm, eps=_EPS)
        blocks = []
        for repeats, kernel, stride, expand, width in config.stages:
            for number in range(repeats):
                blocks.append(MobileBlock(before, width, kernel, stride if number == 0 else 1, expand, norm))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = config.pool

    def forward(self, pixels: Tensor) -> Tensor:
        return page_tokens(self.blocks(F.relu6(self.stem(pixels))), self.pool)


# Our part of a block -> the names of its convolution and its norm there.
_PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
_NORM = re.compile(r"\.norm\.")


def from_imagenet(tower: EfficientTower, weights: Mapping[str, Tensor]) -> None:
    """Give a tower with batch norms the weights of an EfficientNet-Lite0 trained on ImageNet, by the names of the
    PyTorch port (`_blocks.0._depthwise_conv.weight`). A tower of one channel gets the sum over red, green and blue: the
    same as a grey picture in all three. Head and classes are left out. Raises KeyError when one is missing.
    """
    state = {}
    for name, ours in tower.state_dict().items():
        head, last = name.rsplit(".", 1)
        norm = _NORM.search(name) is not None
        if head.startswith("stem."):
            theirs = "_bn0" if norm else "_conv_stem"
        else:
            _, number, part, _ = head.split(".")
            theirs = f"_blocks.{number}.{_PARTS[part][norm]}"
        value = weights[f"{theirs}.{last}"]
        if name == "stem.conv.weight" and ours.shape[1] == 1:
            value = value.sum(1, keepdim=True)
        state[name] = value
    tower.load_state_dict(state)


def read_imagenet(path: str) -> dict[str, Tensor]:
    """The weights in a file that torch saved; no pickle of anything else is read."""
    found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return found
