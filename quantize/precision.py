"""Which part of a model gets how many bits: the decoder's scheme, and a precision of its own for every other part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.errors import UserError
from quantize.scheme import GROUP_SIZES, INT8, NF4, Nf4, Scheme

if TYPE_CHECKING:
    from torch import Tensor

SCHEMES: dict[str, Scheme | Nf4] = {
    **{f"int4-g{size}": Scheme(4, size) for size in GROUP_SIZES},
    **{f"int4-g{size}-asym": Scheme(4, size, symmetric=False) for size in GROUP_SIZES},
    "int8": INT8,
    "nf4": NF4,
}
# The weights of each part, by tensor name. Norms and biases are no part: they stay float16 always.
PARTS = {
    "decoder": re.compile(r"language_model\.(.+\.)?\w+_proj\.weight"),
    "projector": re.compile(r"multi_modal_projector\..+\.weight"),
    "vision": re.compile(r"vision_tower\..*(conv|\w+_proj|fc\d)\.weight"),
    "embeddings": re.compile(r"language_model\.(.+\.)?embed_tokens\.weight"),
    "head": re.compile(r"language_model\.(.+\.)?lm_head\.weight"),
}
# What a part may have besides the decoder's scheme. A convolution's inputs do not divide into groups; a token table is
# looked up by the row.
BITS = {"projector": (4, 8, 16), "vision": (8, 16), "embeddings": (8, 16), "head": (4, 8, 16)}
# From the quantization sweep in the README.
DEFAULT_BITS = {"projector": 4, "vision": 16, "embeddings": 16, "head": 16}


@dataclass(frozen=True)
class Precision:
    """The decoder's scheme, and 4, 8 or 16 bits for each other part (BITS); 4 is the decoder's scheme, or int4-g32.

    Raises UserError for a part or a number of bits that does not exist.
    """

    scheme: str = "int4-g32"
    bits: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_BITS))

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UserError(f"scheme {self.scheme} is not known; use one of {', '.join(SCHEMES)}")
        for part, bits in self.bits.items():
            if bits not in BITS.get(part, ()):
                raise UserError(f"{part} in {bits} bits is not supported; use one of {BITS.get(part, ())}")
            if bits == 8 and self.scheme == "nf4":
                raise UserError(f"{part} in 8 bits does not go with nf4, which bitsandbytes stores alone; use 16")

    def of_part(self, part: str) -> Scheme | Nf4 | None:
        """A part's scheme; None for float16."""
        own = SCHEMES[self.scheme]
        if part == "decoder":
            return own
        bits = {**DEFAULT_BITS, **self.bits}[part]
        four = own if own is not INT8 else SCHEMES["int4-g32"]
        return {4: four, 8: INT8, 16: None}[bits]

    def of(self, name: str, tensor: Tensor) -> Scheme | Nf4 | None:
        """The scheme for a checkpoint's tensor; None where it stays float16, by rule or because it does not fit."""
        part = part_of(name)
        scheme = None if part is None or tensor.ndim < 2 else self.of_part(part)
        return scheme if scheme is not None and scheme.fits(tensor.flatten(1)) else None


def part_of(name: str) -> str | None:
    """The part of the model that a weight belongs to; None for what is never quantized."""
    return next((part for part, pattern in PARTS.items() if pattern.fullmatch(name)), None)
