"""What a bundle rounds on purpose: targets declare it, certificates tell it, export.certificate.rounding does it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Activations(StrEnum):
    """How the inputs of integer products are rounded when the bundle runs."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8_BLOCKS = "int8, symmetric, in the blocks of the weight"
    INT8_TOKENS = "int8, asymmetric, for each token"
    UINT16 = "uint16, asymmetric, with a fixed scale for each tensor"
    Q8_0 = "int8, symmetric, in blocks of 32 with float16 scales"


@dataclass(frozen=True)
class Arithmetic:
    """activations: of the integer products; vision: whether those of the vision tower and projector round too. scales:
    in what type the runtime keeps the scales of 4-bit weights. cache: in what type keys and values are kept. tower: to
    what the weights of a float vision tower are rounded, "" for not at all."""

    activations: Activations = Activations.FLOAT32
    vision: bool = False
    scales: str = "float16"
    cache: str = "float32"
    tower: str = ""

    def __str__(self) -> str:
        where = "" if self.activations == Activations.FLOAT32 else " everywhere" if self.vision else " in the decoder"
        tower = f", vision weights {self.tower}" if self.tower else ""
        return f"activations {self.activations}{where}, cache {self.cache}{tower}"

    @property
    def parts(self) -> bool:
        """Whether two machines that compute so soon differ by whole rounding steps: what differs in the last bit of
        float32 falls on either side of a step now and then, and the next rounding makes more of it."""
        return self.cache == "int8" or self.activations in (Activations.INT8_BLOCKS, Activations.INT8_TOKENS)


FLOAT32 = Arithmetic()
