"""Vision tower "patch": every patch of a tile becomes one token. Put it into pulse/model/towers/ as patch.py.

A checkpoint has it when its config.json says {"vision_config": {"kind": "patch", ...}}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse.model.tower import Tower

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PatchVision:
    kind: str = "patch"
    height: int = 64
    width: int = 96
    in_channels: int = 1
    hidden_size: int = 32
    side: int = 16  # of a patch, in pixels

    @property
    def tokens(self) -> int:
        return (self.height // self.side) * (self.width // self.side)

    @property
    def patches(self) -> None:
        """None: a tile of other than square shape cannot have its tokens merged in blocks."""
        return None


def _build(config: PatchVision) -> nn.Module:
    from torch import Tensor, nn  # a config is read without torch

    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(config.in_channels, config.hidden_size, config.side, config.side)

        def forward(self, pixels: Tensor) -> Tensor:
            return self.conv(pixels).flatten(2).transpose(1, 2)  # [N, tokens, hidden]

    return Patches()


TOWER = Tower(PatchVision, _build)
