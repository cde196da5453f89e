"""Words in any script on a sheet of paper: Pillow draws them with the fonts that the window uses."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from demo_app import bidi, emoji
from demo_app.fonts import Piece, letters

Colour = tuple[int, int, int]


def length(text: str, size: int) -> float:
    """Pixels that the text takes on one line."""
    return sum(_length(piece, size) for piece in letters().pieces(text))


def write(sheet: Image.Image, at: tuple[float, float], line: str, colour: Colour, size: int) -> None:
    """A line on an RGB sheet, its letters' top left at `at`, in the order in which it is read."""
    draw, (x, y) = ImageDraw.Draw(sheet), at
    backwards = bidi.is_needed(line)
    for piece in letters().pieces(bidi.visual(line, bidi.is_rtl(line)) if backwards else line):
        drawn = emoji.picture(piece.text, piece.font, size) if piece.emoji and piece.font is not None else None
        if drawn is not None:
            sheet.paste(drawn, (round(x), round(y + 0.1 * size)), drawn)
        else:
            draw.text((x, y + _sinks(piece.font, size)), piece.text, colour, _font(piece.font, size, backwards))
        x += _length(piece, size)


def _length(piece: Piece, size: int) -> float:
    if piece.emoji and piece.font is not None:
        drawn = emoji.picture(piece.text, piece.font, size)
        return 0.0 if drawn is None else drawn.width + 0.1 * size
    return float(_font(piece.font, size, False).getlength(piece.text))


def _sinks(font: Path | None, size: int) -> float:
    """How far a font's letters are moved down, to stand on the line of the app's own."""
    return float(_font(None, size, False).getmetrics()[0] - _font(font, size, False).getmetrics()[0])


@cache
def _font(path: Path | None, size: int, as_it_is: bool) -> ImageFont.FreeTypeFont:
    """as_it_is: letters are in their forms and order already, which Pillow's own engine would change again."""
    engine = ImageFont.Layout.BASIC if as_it_is else None
    return ImageFont.truetype(letters().first if path is None else path, size, layout_engine=engine)
