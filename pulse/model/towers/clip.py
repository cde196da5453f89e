"""CLIP's vision transformer as a tower: its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse.model.tower import Tower

if TYPE_CHECKING:
    from pulse.model.towers._clip_net import ClipTower


@dataclass(frozen=True)
class ClipVision:
    """CLIP ViT as LLaVA uses it: the patch tokens of hidden layer `select_layer`, the class token dropped."""

    kind: str = "clip"
    height: int = 336
    width: int = 336
    in_channels: int = 3
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    layer_norm_eps: float = 1e-5
    select_layer: int = -2

    @property
    def depth(self) -> int:
        """Layers up to the one that is read; hidden state 0 is the embeddings."""
        return self.num_hidden_layers + 1 + self.select_layer if self.select_layer < 0 else self.select_layer

    @property
    def patches(self) -> int:
        """Patches along a tile's side."""
        return self.height // self.patch_size

    @property
    def tokens(self) -> int:
        """Image tokens of a tile."""
        return self.patches * (self.width // self.patch_size)


def _build(config: ClipVision) -> ClipTower:
    from pulse.model.towers._clip_net import ClipTower  # brings torch, which reading a config does not need

    return ClipTower(config)


TOWER = Tower(ClipVision, _build)
