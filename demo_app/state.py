"""All that must outlive a rotation, a change of theme or a pause: what the widgets show, without the widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from demo_app.bundles import Installed
from demo_app.evidence import PageEvidence
from demo_app.history import Entry, Turn
from demo_app.outline import WHOLE, Corners
from demo_app.reader import Loaded
from edge_runtime.answer import Answer
from edge_runtime.findings import Finding
from edge_runtime.page.quality import Quality
from edge_runtime.similar import Case as Similar


@dataclass
class Case:
    """One picture on its way to an answer.

    page: straightened, None before. asked: the question being answered, and partial: what there is of the answer.
    stage: "idle", "waiting" (for the model), "looking", "answering" or "findings". stopped: the last was cancelled.
    lies: quarter turns to the right that would put the page upright, 0 where that is not known.
    not_ecg: the model's sentence when it does not take the picture for an ECG. is_part: leads are likely missing in it.
    evidence: what was measured on the page, None before. similar: cases like it, the most similar first.
    """

    picture: Image.Image
    title: str
    corners: Corners = WHOLE
    proposed: Corners = WHOLE
    quality: Quality | None = None
    lies: int = 0
    page: Image.Image | None = None
    turns: list[Turn] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    similar: list[Similar] = field(default_factory=list)
    first: Answer | None = None
    by: Loaded | None = None
    asked: str | None = None
    partial: str = ""
    stage: str = "idle"
    stopped: bool = False
    not_ecg: str = ""
    is_part: bool = False
    anyway: bool = False
    error: str = ""
    draft: str = ""
    evidence: PageEvidence | None = None
    entry: Entry | None = None
    created: float = field(default_factory=time.time)

    @property
    def busy(self) -> bool:
        return self.stage != "idle"


@dataclass
class Pages:
    """A file of several pages. small: those drawn so far, from the first, None for one that cannot be. drawing: more
    are on their way."""

    source: Path
    title: str
    count: int
    small: list[Image.Image | None] = field(default_factory=list)
    drawing: bool = True


@dataclass
class Model:
    """stage: "none" (no bundle), "loading", "ready" or "failed" (why: error)."""

    stage: str = "none"
    loaded: Loaded | None = None
    error: str = ""


@dataclass
class Import:
    """An import that runs: share done, 0 to 1."""

    name: str
    share: float = 0.0


@dataclass
class Bench:
    """runs: done so far of a benchmark that runs, None when none does. result: the last one's JSON."""

    runs: int | None = None
    result: dict[str, Any] | None = None
    saved: str = ""


@dataclass
class State:
    """screen: what is shown; `back` is where Esc leads from it."""

    screen: str = "home"
    back: list[str] = field(default_factory=list)
    case: Case | None = None
    pages: Pages | None = None
    opening: str = ""
    error: str = ""
    model: Model = field(default_factory=Model)
    bundles: list[Installed] = field(default_factory=list)
    importing: Import | None = None
    bench: Bench = field(default_factory=Bench)
    search: str = ""
    entries: list[Entry] | None = None
    shown: Entry | None = None
    shown_page: Image.Image | None = None
    folder: str = ""
    picking: str = ""
    on_pick: Callable[[Path], object] | None = None
