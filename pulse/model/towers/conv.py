"""The student's tower of dense convolutions: its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse.model.tower import Tower

if TYPE_CHECKING:
    from pulse.model.towers._conv_net import ConvTower


@dataclass(frozen=True)
class ConvVision:
    """A residual conv tower on a grey page, for the student.

    The stem divides the sides by four and every stage but the first by two; `pool` averages the last grid. The tower
    gives one token for the whole page and one for each pooled cell.
    """

    kind: str = "conv"
    height: int = 384
    width: int = 544
    in_channels: int = 1
    channels: tuple[int, ...] = (32, 48, 96, 192)
    blocks: tuple[int, ...] = (0, 1, 1, 1)
    pool: int = 2
    batch_norm: bool = False  # True while training; checkpoints are saved with the norms folded into the convolutions

    @property
    def hidden_size(self) -> int:
        return self.channels[-1]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the pooled grid."""
        stride = 4 * 2 ** (len(self.channels) - 1) * self.pool
        return -(-self.height // stride), -(-self.width // stride)

    @property
    def tokens(self) -> int:
        """Image tokens of a tile."""
        rows, columns = self.grid
        return 1 + rows * columns

    @property
    def patches(self) -> None:
        """No square grid of patches: the first token is the whole page's."""
        return None


def _build(config: ConvVision) -> ConvTower:
    from pulse.model.towers._conv_net import ConvTower  # brings torch, which reading a config does not need

    return ConvTower(config)


TOWER = Tower(ConvVision, _build)
