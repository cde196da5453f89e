"""A picture of what was found in a picture, to be looked at."""

from __future__ import annotations

from PIL import Image, ImageDraw

from edge_runtime.page.flatten import FlatPage

_SIDE = 1600
_COLOUR = (220, 0, 60)


def draw(picture: Image.Image, flat: FlatPage | None) -> Image.Image:
    """The picture, at most 1600 pixels a side, with the page's outline; its top left corner has a dot."""
    scale = min(1.0, _SIDE / max(picture.size))
    shown = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    if flat is not None:
        corners = [(float(x) * scale, float(y) * scale) for x, y in flat.outline]
        pen = ImageDraw.Draw(shown)
        pen.line([*corners, corners[0]], fill=_COLOUR, width=4, joint="curve")
        pen.circle(corners[0], 12, fill=_COLOUR)
    return shown
