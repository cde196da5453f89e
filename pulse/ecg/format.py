"""What a format of ECG files is: how a file of it is known, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pulse.ecg.record import Record


def _nothing_else(path: Path) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """suffixes: of its files, in lower case. also: tells a file of it by other means than the suffix.

    read: (path, allow_missing=...) -> Record; where the format does not describe itself, with the keywords fs
    (samples a second), leads (names) and unit too, each None where the user does not say. Raises RecordError.
    """

    title: str
    suffixes: tuple[str, ...]
    read: Callable[..., Record]
    describes_itself: bool = True
    also: Callable[[Path], bool] = _nothing_else

    def matches(self, path: Path) -> bool:
        """Whether the file at `path` is to be read as this format."""
        return path.suffix.lower() in self.suffixes or self.also(path)
