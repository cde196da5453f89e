"""Kinds of arguments that several of the verbs take."""

from __future__ import annotations

import argparse


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
