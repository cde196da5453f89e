"""One exception for everything the person at the keyboard can fix, so that every command reports it the same way."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what was handed to us. The message is one line: what is wrong, why, and the fix."""

    def __init__(self, message: str) -> None:
        # File names may hold line breaks; the promise is one line.
        super().__init__(" ".join(message.splitlines()))


class CannotRunHere(UserError):
    """Nothing is wrong with what was handed to us, but this machine lacks what it takes to run it."""


class DoesNotFit(UserError):
    """The image and the words take more positions than the model has."""


def shorten(value: object, limit: int = 60) -> str:
    """`repr(value)` cut to `limit` characters, so that a bad value quoted in a message cannot flood it."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
