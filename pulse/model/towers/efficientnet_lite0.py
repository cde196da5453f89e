"""EfficientNet-Lite0 as a tower: its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse.model.tower import Tower

if TYPE_CHECKING:
    from pulse.model.towers._efficientnet import EfficientTower


@dataclass(frozen=True)
class EfficientVision:
    """EfficientNet-Lite0 on a grey page. The tower divides the sides by 32 and gives tokens as ConvVision's does;
    `pool` and `batch_norm` are as there. The other fields are Lite0's own sizes."""

    kind: str = "efficientnet-lite0"
    height: int = 384
    width: int = 544
    in_channels: int = 1
    stem: int = 32
    channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    blocks: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    hidden_size: int = 1280
    pool: int = 3
    batch_norm: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the pooled grid."""
        return -(-self.height // (32 * self.pool)), -(-self.width // (32 * self.pool))

    @property
    def tokens(self) -> int:
        """Image tokens of a tile."""
        rows, columns = self.grid
        return 1 + rows * columns

    @property
    def patches(self) -> None:
        """No square grid of patches: the first token is the whole page's."""
        return None


def _build(config: EfficientVision) -> EfficientTower:
    from pulse.model.towers._efficientnet import EfficientTower  # brings torch, which reading a config does not need

    return EfficientTower(config)


TOWER = Tower(EfficientVision, _build)
