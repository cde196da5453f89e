"""Words in any script on Kivy's labels: a font for each part (demo_app.fonts), lines from right to left, emoji.

Kivy's text engine (SDL_ttf) takes one font for a text, knows no right-to-left, and shapes for one script if told which.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kivy.core.text import Label as CoreLabel
from kivy.core.text import LabelBase
from kivy.core.text.markup import MarkupLabel
from kivy.graphics.texture import Texture
from kivy.utils import escape_markup

from demo_app import bidi, emoji
from demo_app.fonts import Piece, letters

if TYPE_CHECKING:
    from kivy.uix.label import Label

# As wide as an emoji is, about; drawn without colour where one goes.
_HOLE = "W"
_SCRIPTS = (  # of the blocks whose marks move about their letters: first and last code point, ISO 15924
    (0x0900, 0x097F, "Deva"), (0x0980, 0x09FF, "Beng"), (0x0A00, 0x0A7F, "Guru"), (0x0A80, 0x0AFF, "Gujr"),
    (0x0B00, 0x0B7F, "Orya"), (0x0B80, 0x0BFF, "Taml"), (0x0C00, 0x0C7F, "Telu"), (0x0C80, 0x0CFF, "Knda"),
    (0x0D00, 0x0D7F, "Mlym"), (0x0D80, 0x0DFF, "Sinh"), (0x0E00, 0x0E7F, "Thai"), (0x0E80, 0x0EFF, "Laoo"),
    (0x0F00, 0x0FFF, "Tibt"), (0x1000, 0x109F, "Mymr"), (0x1780, 0x17FF, "Khmr"),
)  # fmt: skip
_UNKNOWN = "Zzzz"


def texture_of(label: Label) -> Texture:
    """What the label shows, with its size, colour and wrapping, on the window's thread."""
    lines, pictures, rtl = _lines(label)
    halign = "right" if rtl and label.halign == "left" else label.halign
    core = MarkupLabel(
        text=lines, font_size=label.font_size, bold=label.bold, halign=halign, line_height=label.line_height,
        max_lines=label.max_lines, padding=label.padding, color=label.color, text_size=label.text_size,
    )  # fmt: skip
    with _shaped_for(label.text):
        core.refresh()
        texture = core.texture
        texture.bind()
    for name, piece in pictures.items():
        for box in core.refs.get(name, ()):
            _paste(texture, piece, box)
    return texture


def width_of(label: Label) -> float:
    """Pixels that its text takes on one line."""
    return sum(_width(piece, label) for piece in letters().pieces(label.text)) + 2


def _width(piece: Piece, label: Label) -> float:
    core = CoreLabel(font_size=label.font_size, bold=label.bold, **_named(piece.font))
    with _shaped_for(piece.text):
        return float(core.get_extents(_HOLE if piece.emoji else piece.text)[0])


def _named(font: Path | None) -> dict[str, str]:
    return {} if font is None else {"font_name": _registered(font)}


@cache
def _registered(font: Path) -> str:
    """A name for markup, in which a path's brackets would end the tag."""
    name = f"device-{abs(hash(font)):x}"
    LabelBase.register(name, str(font))
    return name


def _lines(label: Label) -> tuple[str, dict[str, Piece], bool]:
    """Kivy's markup, the emoji by the names of the places left for them, and whether all runs from right to left."""
    text = label.text
    if bidi.is_needed(text):
        room = (label.text_size[0] or float("inf")) - label.padding[0] - label.padding[2]
        paragraphs = [(paragraph, bidi.is_rtl(paragraph)) for paragraph in text.split("\n")]
        lines = [bidi.visual(line, rtl) for words, rtl in paragraphs for line in _wrapped(words, room, label)]
        text, rtl = "\n".join(lines), all(rtl for words, rtl in paragraphs if words)
    else:
        rtl = False
    parts: list[str] = []
    pictures: dict[str, Piece] = {}
    for piece in letters().pieces(text):
        words = escape_markup(piece.text)
        if piece.emoji:
            name = f"emoji-{len(pictures)}"
            pictures[name] = piece
            words = f"[ref={name}][color=#00000000]{_HOLE}[/color][/ref]"
        elif piece.font is not None:
            words = f"[font={_registered(piece.font)}]{words}[/font]"
        parts.append(words)
    return "".join(parts), pictures, rtl


def _wrapped(words: str, room: float, label: Label) -> list[str]:
    """Lines in the order of reading: what Kivy would wrap after it was reordered would begin at its end."""
    lines: list[str] = []
    line, used = "", 0.0
    for word in words.split(" "):
        needed = sum(_width(piece, label) for piece in letters().pieces(f"{word} "))
        if line and used + needed > room:
            lines.append(line)
            line, used = word, needed
        else:
            line, used = (f"{line} {word}" if line else word), used + needed
    return [*lines, line]


def _paste(texture: Texture, piece: Piece, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = (round(edge) for edge in box)
    assert piece.font is not None
    side = min(right - left, bottom - top)
    drawn = emoji.picture(piece.text, piece.font, side) if side > 0 else None
    if drawn is None:
        return
    drawn = drawn.crop((0, 0, min(drawn.width, texture.width - left), drawn.height))
    place = (left, top + (bottom - top - side) // 2)
    texture.blit_buffer(drawn.tobytes(), size=drawn.size, colorfmt="rgba", bufferfmt="ubyte", pos=place)


@contextmanager
def _shaped_for(text: str) -> Iterator[None]:
    """Marks of Indic and other scripts are put in their places while the text's script is known."""
    found = _script(text)
    if found is not None:
        _tell(found)
    try:
        yield
    finally:
        if found is not None:
            _tell(_UNKNOWN)


def _script(text: str) -> str | None:
    return next((script for char in text for low, high, script in _SCRIPTS if low <= ord(char) <= high), None)


def _tell(script: str) -> None:
    library = _sdl_ttf()
    if library is not None:
        library.TTF_SetScript(int.from_bytes(script.encode(), "big"))


@cache
def _sdl_ttf() -> ctypes.CDLL | None:
    """The library that Kivy has loaded; None where it is not found or cannot shape, and words stay as they are."""
    try:
        maps = Path("/proc/self/maps")
        names = maps.read_text(encoding="utf-8").splitlines() if maps.is_file() else []
        path = next((line.split(maxsplit=5)[5] for line in names if "SDL2_ttf" in line), None)
        library = ctypes.CDLL(path)
        library.TTF_SetScript.argtypes = [ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return library
