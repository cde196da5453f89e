"""Answers that were kept are not asked again; the rest is, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from benchmarks.subjects.kept import kept_answers
from benchmarks.task import Answered, Asked
from edge_runtime.errors import UserError

ASKED = [Asked(str(k), "", (), "p") for k in range(5)]


def run(path: Path, key: str, most: int, asked: list[Asked] = ASKED) -> tuple[list[str], list[str]]:
    """Ids that came back before it was cut off after `most`, and those that were really asked."""
    computed: list[str] = []

    def answers(some: Iterable[Asked]) -> Iterator[Answered]:
        for one in some:
            computed.append(one.id)
            yield Answered(one.id, one.group, (), ())

    came = [row.id for row, _ in zip(kept_answers(path, key, asked, answers), range(most), strict=False)]
    return came, computed


def test_it_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    run(path, "a", 2)
    had = path.read_text()
    path.write_text(had + '{"key": "a", "row"')  # killed while it wrote
    came, computed = run(path, "a", 9)
    assert came == ["0", "1", "2", "3", "4"]
    assert computed == ["0", "1", "2", "3", "4"][had.count("\n") :]
    assert run(path, "a", 9) == (came, [])
    assert run(path, "b", 9)[1] == came  # another model's


def test_other_questions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    run(path, "a", 9)
    with pytest.raises(UserError, match="holds answers to other questions"):
        run(path, "a", 9, ASKED[::-1])
    path.write_text("no JSON\n")
    with pytest.raises(UserError, match="holds no answers of this command"):
        run(path, "a", 9)
