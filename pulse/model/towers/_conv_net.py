"""The student's vision tower: dense 3x3 convolutions, the shape of work that phone NPUs and CPUs do fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.towers.conv import ConvVision


class ConvNorm(nn.Module):
    """Convolution, with a batch norm while training."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: int | tuple[int, int],
        norm: bool,
        groups: int = 1,
        eps: float = 1e-5,
    ):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=not norm)
        self.norm = nn.BatchNorm2d(c_out, eps) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Block(nn.Module):
    """Basic residual block (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, channels: int, norm: bool):
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, 3, 1, 1, norm)
        self.conv2 = ConvNorm(channels, channels, 3, 1, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class GridTower(nn.Module):
    """pixels [N, C, H, W] -> tokens [N, 1 + rows * columns, hidden]; the first token averages the whole page, each
    other pool x pool cells of what `layers` give."""

    def __init__(self, layers: Sequence[nn.Module], pool: int):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.pool = pool

    def forward(self, pixels: Tensor) -> Tensor:
        grid = self.layers(pixels)  # [N, hidden, rows, columns]
        whole = grid.mean((2, 3))[:, None]
        if self.pool > 1:
            grid = F.avg_pool2d(grid, self.pool, ceil_mode=True, count_include_pad=False)
        return torch.cat([whole, grid.flatten(2).transpose(1, 2)], dim=1)


class ConvTower(GridTower):
    """The tower of a ConvVision."""

    def __init__(self, config: ConvVision):
        norm, widths = config.batch_norm, config.channels
        layers: list[nn.Module] = [ConvNorm(config.in_channels, widths[0], 8, 4, 2, norm), nn.ReLU()]
        for stage, (width, blocks) in enumerate(zip(widths, config.blocks, strict=True)):
            if stage:
                layers += [ConvNorm(widths[stage - 1], width, 3, 2, 1, norm), nn.ReLU()]
            layers += [Block(width, norm) for _ in range(blocks)]
        super().__init__(layers, config.pool)


@torch.no_grad()
def fold_norms(tower: nn.Module) -> dict[str, Tensor]:
    """Weights of the same tower with batch_norm=False: each norm's scale and shift moved into its convolution."""
    state: dict[str, Tensor] = {}
    for name, module in tower.named_modules():
        if not isinstance(module, ConvNorm):
            continue
        weight, norm = module.conv.weight.float(), module.norm
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None or norm.running_mean is None:
            raise ValueError("the tower has no batch norms to fold: its config says batch_norm=False")
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        state[f"{name}.conv.weight"] = weight * scale[:, None, None, None]
        state[f"{name}.conv.bias"] = norm.bias - norm.running_mean * scale
    return state


@torch.no_grad()
def unfold_norms(tower: ConvTower, folded: Mapping[str, Tensor], pixels: Tensor) -> None:
    """Give a tower with batch norms the weights of a folded one, so that training can go on: each norm takes the
    statistics that its convolution has on `pixels` [N, C, H, W], and the scale and shift that undo them.

    Raises KeyError when `folded` lacks a layer of the tower and RuntimeError when a shape differs.
    """

    def adopt(module: nn.Module, inputs: tuple[Tensor, ...], name: str) -> None:
        assert isinstance(module, ConvNorm)
        assert isinstance(module.norm, nn.BatchNorm2d)
        module.conv.load_state_dict({"weight": folded[f"{name}.conv.weight"]})
        seen, norm = module.conv(inputs[0]), module.norm
        norm.load_state_dict(
            {
                **norm.state_dict(),
                "running_mean": (mean := seen.mean((0, 2, 3))),
                "running_var": (variance := seen.var((0, 2, 3))),
                "weight": torch.sqrt(variance + norm.eps),
                "bias": mean + folded[f"{name}.conv.bias"],
            }
        )

    convolutions = [(name, module) for name, module in tower.named_modules() if isinstance(module, ConvNorm)]
    hooks = [module.register_forward_pre_hook(partial(adopt, name=name)) for name, module in convolutions]
    training = tower.training
    tower.eval()(pixels)
    tower.train(training)
    for hook in hooks:
        hook.remove()


def deepen(tower: ConvTower, blocks: Sequence[int], state: Mapping[str, Tensor], fewer: Sequence[int]) -> None:
    """Give a tower with `blocks` in its stages the state of one with `fewer`. The new blocks come last in their stages
    and start as the identity: their second norm's scale is zero (Chen et al. 2015, arXiv 1511.05641)."""
    old, new = _layers(fewer), _layers(blocks)
    ours = tower.state_dict()
    for name in ours:
        if name.endswith("conv2.norm.weight"):
            ours[name] = torch.zeros_like(ours[name])
    for name, value in state.items():
        _, layer, rest = name.split(".", 2)
        ours[f"layers.{new.index(old[int(layer)])}.{rest}"] = value
    tower.load_state_dict(ours)


def _layers(blocks: Sequence[int]) -> list[tuple[int, str]]:
    """What ConvTower.layers holds, in order."""
    return [
        (stage, what)
        for stage, count in enumerate(blocks)
        for what in ("convolution", "relu", *(f"block {k}" for k in range(count)))
    ]
