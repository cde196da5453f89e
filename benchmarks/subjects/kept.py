"""Answers that are kept in a file as they come, for runs of hours: run again, and it goes on where it was cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from benchmarks.task import Answered, Asked
from edge_runtime.errors import UserError


def kept_answers(
    path: Path, key: str, asked: Iterable[Asked], answers: Callable[[Iterable[Asked]], Iterator[Answered]]
) -> Iterator[Answered]:
    """What `answers` gives for `asked`, in order: what the file has under `key`, then the rest, which is appended.

    key: who was asked what. Raises UserError for a file that holds other rows under this key, or none at all.
    """
    had = _read(path, key)
    asked = iter(asked)
    for row, one in zip(had, islice(asked, len(had)), strict=False):
        if row.id != one.id:
            raise UserError(f"{path}: holds answers to other questions ({row.id}, not {one.id}); give another --keep")
        yield row
    with path.open("a", encoding="utf-8") as file:
        for row in answers(asked):
            file.write(json.dumps({"key": key, "row": row.as_json()}) + "\n")
            file.flush()
            yield row


def _read(path: Path, key: str) -> list[Answered]:
    """Rows of this key. A line that a kill cut off is taken out of the file."""
    if not path.exists():
        return []
    whole, line, _ = path.read_text(encoding="utf-8").rpartition("\n")
    path.write_text(whole + line, encoding="utf-8")
    try:
        lines = [json.loads(each) for each in whole.splitlines()]
        return [Answered.from_json(each["row"]) for each in lines if each["key"] == key]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: holds no answers of this command; give another --keep") from None
