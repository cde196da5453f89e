"""Reads conversations in PULSE's published JSON: ECGInstruct.json beside its image folders (arXiv 2410.19008)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UserError
from pulse.instruct.questions import Turn

_IMAGE = "<image>"


@dataclass(frozen=True)
class Conversation:
    """Turns about one picture; image is the file's path. The image's mark is taken out of the first question."""

    id: str
    image: Path
    turns: tuple[Turn, ...]


def read_published(path: Path, images: Path) -> Iterator[Conversation]:
    """The conversations of the JSON list at `path`, in its order; images: the folder that its image paths start from.

    The whole list is held in memory. Raises UserError for a file or an entry that is not of this form.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); give PULSE's ECGInstruct.json") from None
    if not isinstance(entries, list):
        raise UserError(f"{path}: holds no list of conversations; give PULSE's ECGInstruct.json")
    for number, entry in enumerate(entries):
        try:
            said = [(turn["from"], turn["value"]) for turn in entry["conversations"]]
            name, image = str(entry["id"]), images / entry["image"]
            questions, answers = [text for _, text in said[::2]], [text for _, text in said[1::2]]
            if not said or [who for who, _ in said] != ["human", "gpt"] * len(answers):
                raise ValueError("turns do not go human, gpt, human, gpt")
            turns = [Turn(q.replace(_IMAGE, "").strip(), a.strip()) for q, a in zip(questions, answers, strict=True)]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: entry {number} is no conversation ({error}); mend or remove it") from None
        yield Conversation(name, image, tuple(turns))
