"""Checked reading of JSON objects: every wrong manifest field becomes one line that names the field."""

from __future__ import annotations

import math
from collections.abc import Collection

from edge_runtime.errors import UserError, shorten


class Fields:
    """A JSON object whose fields are read with their type and range checked.

    where: how messages name the object, for example "manifest.json: model". fix: what they advise.
    Every method raises UserError when the field is absent or wrong.
    """

    def __init__(self, data: object, where: str, fix: str = "export the bundle again") -> None:
        if not isinstance(data, dict):
            raise UserError(f"{where} must be a JSON object, not {shorten(data)}; {fix}")
        self.data: dict[str, object] = data
        self.where, self.fix = where, fix

    def _wrong(self, key: str, need: str) -> UserError:
        found = shorten(self.data[key]) if key in self.data else "absent"
        return UserError(f"{self.where}: {key} must be {need} but is {found}; {self.fix}")

    def integer(self, key: str, low: int | None = None, high: int | None = None) -> int:
        """An integer with low <= value <= high."""
        value = self.data.get(key)
        # bool is a subclass of int; `true` is not a size.
        if not isinstance(value, int) or isinstance(value, bool) or not _within(value, low, high):
            raise self._wrong(key, "a whole number" + _range(low, high))
        return value

    def number(self, key: str, low: float | None = None, high: float | None = None) -> float:
        """A finite number with low <= value <= high."""
        value = self.data.get(key)
        if not _is_number(value) or not _within(value, low, high):
            raise self._wrong(key, "a number" + _range(low, high))
        return float(value)  # type: ignore[arg-type]

    def text(self, key: str, choices: Collection[str] = (), empty: bool = False) -> str:
        """A string; one of `choices` if given; not blank unless `empty`."""
        value = self.data.get(key)
        if not isinstance(value, str) or (choices and value not in choices):
            raise self._wrong(key, "one of " + ", ".join(choices) if choices else "text")
        if not empty and not value.strip():
            raise self._wrong(key, "text that is not blank")
        return value

    def flag(self, key: str) -> bool:
        """true or false."""
        value = self.data.get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def numbers(self, key: str, length: int) -> tuple[float, ...]:
        """A list of `length` finite numbers."""
        value = self.data.get(key)
        if not isinstance(value, list | tuple) or len(value) != length or not all(_is_number(v) for v in value):
            raise self._wrong(key, f"a list of {length} number(s)")
        return tuple(float(v) for v in value)

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of at least one integer, each with low <= value <= high."""
        value = self.data.get(key)
        if not isinstance(value, list | tuple) or not value:
            raise self._wrong(key, "a list of at least one whole number")
        items = [Fields({key: item}, self.where, self.fix).integer(key, low, high) for item in value]
        return tuple(items)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of at least one string, none blank."""
        value = self.data.get(key)
        if not isinstance(value, list | tuple) or not value:
            raise self._wrong(key, "a list of at least one text")
        return tuple(Fields({key: item}, self.where, self.fix).text(key) for item in value)

    def child(self, key: str) -> Fields:
        """The JSON object under `key`."""
        if not isinstance(self.data.get(key), dict):
            raise self._wrong(key, "a JSON object")
        return Fields(self.data[key], f"{self.where}: {key}", self.fix)

    def children(self, key: str) -> list[Fields]:
        """The JSON objects in the list under `key`."""
        value = self.data.get(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list of JSON objects")
        return [Fields(item, f"{self.where}: {key}[{i}]", self.fix) for i, item in enumerate(value)]

    def is_null(self, key: str) -> bool:
        """Whether the field is absent or null."""
        return self.data.get(key) is None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _within(value: object, low: float | None, high: float | None) -> bool:
    assert isinstance(value, int | float)
    return (low is None or value >= low) and (high is None or value <= high)


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of {low} or more" if low is not None else f" of {high} or less" if high is not None else ""
