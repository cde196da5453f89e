"""What a vision tower is: sizes that config.json holds, and the network of those sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from edge_runtime.registry import Registry

if TYPE_CHECKING:
    from torch import nn


class Vision(Protocol):
    """A tower's sizes: a frozen dataclass whose fields are config.json's section vision_config; `kind` is the name of
    its file in pulse/model/towers."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def kind(self) -> str: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...

    @property
    def tokens(self) -> int:
        """Image tokens of a tile."""
        ...

    @property
    def patches(self) -> int | None:
        """Patches along a tile's side, where its tokens are a square grid of them and nothing else; otherwise None."""
        ...


class GridVision(Vision, Protocol):
    """Sizes of a tower whose tokens are the whole page and a grid of cells, and which trains with batch norms."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the pooled grid."""
        ...

    @property
    def pool(self) -> int: ...
    @property
    def batch_norm(self) -> bool: ...


@dataclass(frozen=True)
class Tower:
    """config: the dataclass of its sizes. build: the network with random weights, which takes pixels float
    [N, in_channels, height, width] to tokens [N, tokens, hidden_size]; it imports torch itself, for sizes are read
    without it."""

    config: type[Any]
    build: Callable[[Any], nn.Module]


TOWERS: Registry[Tower] = Registry("pulse.model.towers", "TOWER", "vision tower")
