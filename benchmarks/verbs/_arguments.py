"""Kinds of arguments that several of the verbs take."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_runtime.errors import UserError


def count(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def counts(text: str) -> tuple[int, ...]:
    """Numbers from 1 with commas between them."""
    return tuple(count(part) for part in text.split(","))


def words(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(text.split(","))


def page_of(image: Path | None) -> Path:
    """The picture that --image names, or one of the project's. Raises UserError when there is no such file."""
    from export.pages import example_pages

    picture = image or example_pages()[0]
    if not picture.is_file():
        raise UserError(f"{picture}: is no file; give --image a picture of an ECG page")
    return picture
