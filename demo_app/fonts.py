"""Which font has which letter: the two that come with Kivy first, then those of the device.

Every phone and desktop has fonts for the scripts of its users; shipping them again would make the app larger than its
model. What no font has is written as its code points, so that nothing is lost and nothing is a box.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from demo_app.coverage import coverage

_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
# Faces that look unlike the rest of a sentence come last.
_ODD = re.compile(
    r"bold|italic|oblique|light|thin|black|medium|condensed|mono|serif|kufi|looped|nastaliq|display", re.I
)
_MOST = 2000  # fonts that are looked at
# Bidirectional controls reorder what stands around them, and a file's name may hide its ending so: they are shown.
_SHOWN = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_ONE = r"[\U0001F000-\U0001FAFF]|[\u2190-\u2BFF\u3030\u303D\u3297\u3299](?=\uFE0F)"
_AFTER = r"[\uFE0F\u20E3\U0001F3FB-\U0001F3FF]*"
# Unicode Technical Standard 51: a flag, a keycap, or pictures joined to one.
_EMOJI = re.compile(
    rf"[\U0001F1E6-\U0001F1FF]{{2}}|[0-9#*]\uFE0F?\u20E3|(?:{_ONE}){_AFTER}(?:\u200D(?:{_ONE}|[\u2190-\u2BFF]){_AFTER})*"
)


@dataclass(frozen=True)
class Piece:
    """A part of a text for one font. font: None for the app's own. emoji: a picture rather than letters."""

    text: str
    font: Path | None = None
    emoji: bool = False


class Letters:
    """own: fonts that come with the app, the first of them the one that it is set in; then those in `folders`."""

    def __init__(self, own: Sequence[Path], folders: Sequence[Path]) -> None:
        self._own, self._folders = list(own), folders
        self._known: dict[str, Path | None] = {}

    def plain(self, text: str) -> bool:
        """Whether the app's own font has all of it."""
        return text.isascii() or all(self._own_has(char) for char in set(text))

    def pieces(self, text: str) -> list[Piece]:
        """The text in parts, each with a font that has its letters; emoji apart; "‹U+5FC3›" for what none has."""
        found: list[Piece] = []
        at = 0
        for match in _EMOJI.finditer(text):
            found += self._runs(text[at : match.start()])
            found += self._emoji(match[0])
            at = match.end()
        found += self._runs(text[at:])
        return found

    def font_of(self, text: str) -> Path | None:
        """One font for all of it, for a place that can have only one; None for the app's own."""
        wanted = next((c for c in text if not self._own_has(c) and self._font(c) is not None), None)
        return None if wanted is None else self._font(wanted)

    @property
    def first(self) -> Path:
        """The app's own font."""
        return self._own[0]

    def _own_has(self, char: str) -> bool:
        return char == "\n" or ord(char) in coverage(self._own[0])

    def _emoji(self, cluster: str) -> list[Piece]:
        font = self._font(cluster[0] if cluster[0] not in "0123456789#*" else "\u20e3")
        if font is None:
            name = " ".join(unicodedata.name(c, f"U+{ord(c):04X}").lower() for c in cluster if c not in "\u200d\ufe0f")
            return [Piece(f"‹{name}›")]
        return [Piece(cluster, font, coverage(font).pictures)]

    def _runs(self, text: str) -> list[Piece]:
        """Neighbours of one font stay together: a letter and its marks must, and words look better so."""
        runs: list[tuple[str, Path | None]] = []
        for char in text:
            if unicodedata.category(char) == "Cf" and ord(char) not in _SHOWN and char not in _JOINERS:
                continue  # marks of direction and the like, which are not to be seen
            font, said = self._font_beside(char, runs[-1] if runs else None), char
            if ord(char) in _SHOWN or (font is None and not self._own_has(char)):
                font, said = self._instead(char)
            if runs and runs[-1][1] == font:
                runs[-1] = (runs[-1][0] + said, font)
            else:
                runs.append((said, font))
        return [Piece(run.replace("›‹", " "), font) for run, font in runs]

    def _instead(self, char: str) -> tuple[Path | None, str]:
        """The letters that a form or ligature stands for, or the code point in words."""
        simpler = unicodedata.normalize("NFKC", char)
        if simpler != char:
            if all(self._own_has(c) for c in simpler):
                return None, simpler
            font = next((font for c in simpler if (font := self._font(c)) is not None), None)
            if font is not None and all(ord(c) in coverage(font) for c in simpler):
                return font, simpler
        return None, f"‹U+{ord(char):04X}›"

    def _font_beside(self, char: str, before: tuple[str, Path | None] | None) -> Path | None:
        if before is not None and before[1] is not None:
            stays = unicodedata.category(char) in ("Mn", "Mc") or char in _JOINERS or char == " "
            if stays or (not self._own_has(char) and ord(char) in coverage(before[1])):
                return before[1]
        return None if self._own_has(char) else self._font(char)

    def _font(self, char: str) -> Path | None:
        if char not in self._known:
            self._known[char] = next((path for path in self._all() if ord(char) in coverage(path)), None)
        return self._known[char]

    def _all(self) -> Iterator[Path]:
        yield from self._own[1:]
        yield from _fonts(tuple(self._folders))


@cache
def _fonts(folders: tuple[Path, ...]) -> list[Path]:
    """The plain faces first."""
    found = [Path(root, name) for folder in folders for root, _, names in os.walk(folder) for name in names]
    fonts = [path for path in found if path.suffix.lower() in _ENDINGS][:_MOST]
    return sorted(fonts, key=lambda path: (len(_ODD.findall(path.stem)), path.name))


def device_folders() -> list[Path]:
    """Where the system keeps its fonts."""
    home = Path.home()
    if sys.platform in ("darwin", "ios"):
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    if hasattr(sys, "getandroidapilevel"):
        return [Path("/system/fonts"), Path("/product/fonts")]
    own = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    shared = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return [home / ".fonts", own / "fonts", *(Path(folder) / "fonts" for folder in shared if folder)]


@cache
def letters() -> Letters:
    """Those of this device."""
    kivy = find_spec("kivy")
    assert kivy is not None  # the app runs on it
    assert kivy.origin is not None
    own = Path(kivy.origin).parent / "data" / "fonts"
    return Letters([own / "Roboto-Regular.ttf", own / "DejaVuSans.ttf"], device_folders())
