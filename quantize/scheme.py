"""What weights can become: the schemes and methods by name, without torch, so that a command can list them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Methods that look at pages (quantize.methods).
METHODS = ("gptq", "awq")
GROUP_SIZES = (32, 64, 128)
NF4_BLOCK = 64  # weights that share a scale, along the flattened weight


@dataclass(frozen=True)
class Scheme:
    """How the weights of a layer become integers.

    bits: 4 or 8. group_size: inputs that share a scale (32, 64 or 128); None for a whole output channel. symmetric:
    whether 0.0 is code 0, or a zero point is stored for each group.
    """

    bits: int
    group_size: int | None
    symmetric: bool = True

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise ValueError(f"{self.bits} bits are not 4 or 8")
        if self.group_size is not None and self.group_size not in GROUP_SIZES:
            raise ValueError(f"group size {self.group_size} is not one of {GROUP_SIZES}")

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest code."""
        half = 1 << (self.bits - 1)
        return -half, half - 1

    def fits(self, weight: Tensor) -> bool:
        """Whether a weight can be stored so: [N, K], K a multiple of the group size, or of the smallest block that
        every format has (16)."""
        return weight.ndim == 2 and weight.shape[1] % (self.group_size or 16) == 0


INT4, INT8 = Scheme(4, 32), Scheme(8, None)


@dataclass(frozen=True)
class Nf4:
    """4-bit NormalFloat: quantize.nf4."""

    bits: int = 4

    def fits(self, weight: Tensor) -> bool:
        """Whether a weight [N, K] can be stored so: no block may reach from one output channel into the next."""
        return weight.ndim == 2 and weight.shape[1] % NF4_BLOCK == 0


NF4 = Nf4()
