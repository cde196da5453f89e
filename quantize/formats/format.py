"""What a stored format is: what its section of config.json may say, and how a layer's tensors become integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edge_runtime.errors import shorten
from quantize.integers import IntWeight

Section = Mapping[str, Any]
Pieces = Mapping[str, Tensor]


class Refused(ValueError):
    """What a section or a layer has that this version cannot read exactly; the message names it."""


@dataclass(frozen=True)
class Format:
    """kind(section): "int4" or "int8", what most layers have; raises Refused. codes: the last name of the tensor that
    holds a layer's codes; beside: those of the tensors that may stand beside it. read(pieces, section): a layer's
    weight, by its tensors' last names, with the inputs in the order of its columns, and the group of each input int64
    [K], None where groups are consecutive; raises Refused.
    """

    kind: Callable[[Section], str]
    codes: str
    beside: tuple[str, ...]
    read: Callable[[Pieces, Section], tuple[IntWeight, Tensor | None]]


def only(section: Section, key: str, *known: Any) -> Any:
    """The key's value, the first of the known ones where it is absent or null. Raises Refused for any other."""
    value = known[0] if section.get(key) is None else section[key]
    if value not in known:
        reads = " or ".join(repr(one) for one in known)
        raise Refused(f"{key} {shorten(value)} is not supported; this version reads {reads}")
    return value


def off(section: Section, *keys: str) -> None:
    """Raises Refused for the first of the keys that switches something on."""
    for key in keys:
        if section.get(key) not in (None, False, {}, [], ""):
            raise Refused(f"{key} {shorten(section[key])} is not supported; quantize without it")
