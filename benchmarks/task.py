"""What a model is asked, and what its answers are worth: the one shape of all tasks (benchmarks/tasks)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_runtime.recording import Recording

if TYPE_CHECKING:
    from pulse.ecg.ptbxl import PtbXl
    from pulse.instruct.questions import Turn

PLAIN_DPI = 50.8  # of a page that is not photographed
SCENE_DPI = 127.0  # of a page before it is photographed: finer than the camera sees it


@dataclass(frozen=True)
class Drawn:
    """A record of the PTB-XL folder `data`, to be drawn as a page.

    family: of which it is to be, its look, and layout unless given, drawn from the record's number; None: the plain
    page. photo: the seed of its effects, scene: of the desk, the paper and the camera; None: none. recorded: a model is
    given the record itself instead.
    """

    data: Path
    ecg_id: int
    layout: str | None = None
    photo: int | None = None
    family: str | None = None
    scene: int | None = None
    dpi: float = PLAIN_DPI
    recorded: bool = False

    def given(self) -> np.ndarray | Recording:
        """What a model is asked about: the page or the recording."""
        if not self.recorded:
            return self.page()
        record = _database(self.data)[self.ecg_id]
        return Recording(record.signal, record.fs)

    def page(self) -> np.ndarray:
        """uint8 RGB [H, W, 3]."""
        from pulse.ecg.paper.variety import drawn_page
        from pulse.ecg.photo.photograph import photograph
        from pulse.ecg.photo.scene.shoot import shoot

        dpi = self.dpi if self.scene is None else SCENE_DPI
        drawn = drawn_page(_database(self.data)[self.ecg_id], self.family, self.layout, self.ecg_id, dpi)
        page = drawn.image
        if self.scene is not None:
            page = shoot(page, drawn.px_per_mm, np.random.default_rng([self.scene, self.ecg_id])).image
        return page if self.photo is None else photograph(page, np.random.default_rng([self.photo, self.ecg_id]))


@lru_cache(1)
def _database(data: Path) -> PtbXl:
    from pulse.ecg.ptbxl import PtbXl

    return PtbXl(data)


@dataclass(frozen=True)
class Asked:
    """A picture (a path, a file's bytes, or one to be drawn) and the turns of a conversation about it: questions, with
    the answers wanted. group: whose it is, a patient or a record; intervals draw groups. findings: class -> label of
    the finding whose probability stands for it (a superclass or SCP statement); None: the bundle's own findings by
    their labels. apart: each turn is asked of the page alone, not after the one before it."""

    id: str
    picture: str | bytes | Drawn
    turns: tuple[Turn, ...]
    group: str
    findings: tuple[tuple[str, str], ...] | None = ()
    apart: bool = False


@dataclass(frozen=True)
class Answered:
    """answers: one a turn, "" from the first one on whose question does not fit the model's context (fits False).
    likelihood: of the first answer among the options listed, None where there were none. is_ecg: probability, or None.
    likely: the findings of `probabilities` that reach their operating points. left_out: what the guard kept back.
    reading_ms: from the picture to the tower's pixels, decoding included; None where no question was answered.
    sources: of each answer, what decided it (questions.Because), "" where nothing but the decoder did."""

    id: str
    group: str
    turns: tuple[Turn, ...]
    answers: tuple[str, ...]
    likelihood: float | None = None
    is_ecg: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    likely: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    fits: bool = True
    reading_ms: float | None = field(default=None, compare=False)
    sources: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "group": self.group,
            "questions": [turn.question for turn in self.turns],
            "gold": [turn.answer for turn in self.turns],
            "answers": list(self.answers),
            "likelihood": self.likelihood,
            "is_ecg": self.is_ecg,
            "probabilities": dict(self.probabilities),
            "likely": list(self.likely),
            "left_out": list(self.left_out),
            "fits": self.fits,
            "reading_ms": self.reading_ms,
            "sources": list(self.sources),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Answered:
        """The inverse of as_json."""
        from pulse.instruct.questions import Turn

        turns = tuple(map(Turn, row["questions"], row["gold"]))
        left_out, likely = tuple(row["left_out"]), tuple(row.get("likely", ()))
        kept = {key: row[key] for key in ("id", "group", "likelihood", "is_ecg", "probabilities", "fits")}
        answers, reading_ms = tuple(row["answers"]), row.get("reading_ms")
        return cls(
            **kept,
            turns=turns,
            answers=answers,
            likely=likely,
            left_out=left_out,
            reading_ms=reading_ms,
            sources=tuple(row.get("sources", ())),
        )


@dataclass(frozen=True)
class Questions:
    """total: how many are asked. asked: gives them one by one, since a data set's pictures do not fit into memory."""

    total: int
    asked: Iterable[Asked]


@dataclass(frozen=True)
class Shown:
    """A figure with an interval: key, title, the decimals it is printed with, and the heading of its column in the main
    table of a report, "" for none there."""

    key: str
    title: str
    places: int = 1
    column: str = ""


@dataclass(frozen=True)
class Marks:
    """A model's n answers as arrays.

    measures: key of Shown -> the figure of the rows at these indices, NaN where it does not exist. truth and predicted:
    0/1 [n, k], which of the k classes were there and which the answer named; for one right answer the class "right".
    probability: float [n, k], NaN in the column of a class without one.
    """

    measures: Mapping[str, Callable[[np.ndarray], float]]
    classes: tuple[str, ...]
    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray


class Task(Protocol):
    """A task's own options come as the command's arguments, `limit` among them: the first so many rows, 0 all.

    title: one line. data: what --data names. sample: the project's own records serve as data too. group: what intervals
    draw ("patient"). shown: the figures with intervals. headline: the key of the one that verdicts go by, of which more
    is better; margin: how much of it a smaller model may lose unless the command says otherwise.
    """

    title: str
    data: str
    sample: bool
    group: str
    shown: tuple[Shown, ...]
    headline: str
    margin: float

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        """The task's own options."""
        ...

    def about(self, options: argparse.Namespace) -> dict[str, Any]:
        """What a result tells of them."""
        ...

    def ask(self, data: Path, options: argparse.Namespace) -> Questions:
        """What is asked, in order. Raises UserError for data that cannot be read, and for options that do not fit."""
        ...

    def marks(self, rows: Sequence[Answered]) -> Marks:
        """What the answers are worth, row by row."""
        ...

    def score(self, rows: Sequence[Answered], options: argparse.Namespace) -> dict[str, Any]:
        """All figures as JSON. Raises UserError for rows that cannot be scored."""
        ...

    def intervals(self, figures: Mapping[str, Any]) -> Mapping[str, Sequence[float | None] | None]:
        """Of what score gave: key of Shown -> [value, low, high]."""
        ...

    def as_text(self, figures: Mapping[str, Any]) -> str:
        """The table that the command prints."""
        ...
