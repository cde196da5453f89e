"""Emoji as small pictures: their fonts hold bitmaps of one size, which SDL draws as large as they are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Of the bitmaps in Noto's, Apple's and older fonts, in pixels.
_SIZES = (109, 136, 160, 128, 96, 72, 64, 48, 40, 32, 20)


@lru_cache(256)
def picture(text: str, font: Path, height: int) -> Image.Image | None:
    """The emoji, RGBA, cut to its ink and so high in pixels; None where Pillow cannot draw with the font."""
    for size in _SIZES:
        try:
            drawer = ImageFont.truetype(font, size)
            _, _, right, bottom = drawer.getbbox(text)
            canvas = Image.new("RGBA", (max(1, round(right)), max(1, round(bottom))))
            ImageDraw.Draw(canvas).text((0, 0), text, font=drawer, embedded_color=True)
        except (OSError, ValueError):  # "invalid pixel size" for all but its own
            continue
        ink = canvas.getbbox()
        if ink is None:
            return None
        drawn = canvas.crop(ink)
        width = max(1, round(drawn.width * height / drawn.height))
        return drawn.resize((width, height), Image.Resampling.LANCZOS)
    return None
