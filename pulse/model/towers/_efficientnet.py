"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, in TensorFlow's Lite form: ReLU6 and no squeeze-excite) as a
vision tower, and ImageNet weights for it.

The published weights expect (level - 127) / 128 of each channel. That is the same for all three, so a grey page needs
one channel whose kernel is their sum: exact, borders included.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_runtime.errors import UserError
from pulse.model.towers._conv_net import ConvNorm, GridTower, fold_norms
from pulse.model.towers.efficientnet_lite0 import EfficientVision

# Of each stage: how much its blocks widen inside, their kernel, and the first one's stride.
STAGES = ((1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 2), (6, 5, 1), (6, 5, 2), (6, 3, 1))
_EPS = 1e-3  # of the batch norms, as published


class SamePad(nn.Module):
    """TensorFlow's padding "SAME" before a convolution of stride 2: on an even side the odd pixel comes right and
    below, where PyTorch's symmetric padding would look half a cell off what the weights were trained on."""

    def __init__(self, kernel: int, stride: int):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0) for n in x.shape[2:])
        return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class MBConv(nn.Module):
    """Inverted residual block (Sandler et al. 2018, arXiv 1801.04381): widen, look around, narrow."""

    def __init__(self, c_in: int, c_out: int, widen: int, kernel: int, stride: int, norm: bool):
        super().__init__()
        inside, padding = c_in * widen, kernel // 2 if stride == 1 else 0
        self.expand = ConvNorm(c_in, inside, 1, 1, 0, norm, eps=_EPS) if widen > 1 else None
        self.pad = nn.Identity() if stride == 1 else SamePad(kernel, stride)
        self.depthwise = ConvNorm(inside, inside, kernel, stride, padding, norm, groups=inside, eps=_EPS)
        self.project = ConvNorm(inside, c_out, 1, 1, 0, norm, eps=_EPS)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(self.pad(wide))))
        return x + out if self.residual else out


class EfficientTower(GridTower):
    """pixels [N, C, H, W] -> tokens [N, 1 + rows * columns, hidden]; the first token is what ImageNet's classifier
    reads."""

    def __init__(self, config: EfficientVision):
        norm, widths = config.batch_norm, (config.stem, *config.channels)
        layers: list[nn.Module] = [
            SamePad(3, 2),
            ConvNorm(config.in_channels, config.stem, 3, 2, 0, norm, eps=_EPS),
            nn.ReLU6(),
        ]
        for (c_in, c_out), blocks, (widen, kernel, stride) in zip(pairwise(widths), config.blocks, STAGES, strict=True):
            for block in range(blocks):
                first = block == 0
                layers.append(MBConv(c_in if first else c_out, c_out, widen, kernel, stride if first else 1, norm))
        layers += [ConvNorm(widths[-1], config.hidden_size, 1, 1, 0, norm, eps=_EPS), nn.ReLU6()]
        super().__init__(layers, config.pool)


def imagenet_state(path: Path, config: EfficientVision) -> dict[str, Tensor]:
    """State of EfficientTower(config) from a .pth file in EfficientNet-PyTorch's naming (_conv_stem, _blocks.0 ...);
    norms folded unless config.batch_norm. Raises UserError when it is no such file, or its sizes are not the config's.
    """
    try:
        theirs = torch.load(path, map_location="cpu", weights_only=True)
        tower = EfficientTower(replace(config, batch_norm=True))
        ours = [name for name, module in tower.named_modules() if isinstance(module, ConvNorm)]
        state: dict[str, Tensor] = {}
        for name, (conv, norm) in zip(ours, _published(config), strict=True):
            state[f"{name}.conv.weight"] = theirs[f"{conv}.weight"]
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                state[f"{name}.norm.{part}"] = theirs[f"{norm}.{part}"]
        if config.in_channels == 1:
            stem = f"{ours[0]}.conv.weight"
            state[stem] = state[stem].sum(1, keepdim=True)
        tower.load_state_dict(state)
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: holds no EfficientNet-Lite0 of these sizes ({reason}); install it again") from None
    return tower.state_dict() if config.batch_norm else fold_norms(tower)


def _published(config: EfficientVision) -> list[tuple[str, str]]:
    """Names of each convolution and its norm in the published file, in the order of ours."""
    names, block = [("_conv_stem", "_bn0")], 0
    for count, (widen, _, _) in zip(config.blocks, STAGES, strict=True):
        for _ in range(count):
            parts = [("_expand_conv", "_bn0")] * (widen > 1) + [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
            names += [(f"_blocks.{block}.{conv}", f"_blocks.{block}.{norm}") for conv, norm in parts]
            block += 1
    return [*names, ("_conv_head", "_bn1")]
