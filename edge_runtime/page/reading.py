"""What a picture is turned into before a model looks at it."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from edge_runtime.page.flatten import PX_PER_MM, FlatPage, flatten

# A JPEG may be decoded down to this many pixels a side: a millimetre is then still 4 of them on most photographs.
DRAFT = (1100, 1100)
_MOST_BENT = 1.0  # squares
_LEAST_FILLED = 0.8  # of the picture


@dataclass(frozen=True)
class Reading:
    """picture: what a model looks at. flat: the page that was found in the picture, None where no grid was.

    as_it_is: picture is the one that came, since there is no grid or the page lies flat in it already.
    """

    picture: Image.Image
    flat: FlatPage | None
    as_it_is: bool

    def to_dict(self) -> dict[str, object]:
        """What was found, as JSON: lengths in pixels of the picture that came."""
        flat = self.flat
        if flat is None:
            return {"grid": None, "as_it_is": self.as_it_is}
        grid = {
            "px_per_mm": round(flat.px_per_mm, 3),
            "turned_degrees": round(flat.turned, 1),
            "bent_mm": round(5 * flat.bent, 1),
            "followed": round(flat.followed, 3),
        }
        outline = [[round(float(value), 1) for value in corner] for corner in flat.outline]
        page = {"outline": outline, "fills": round(flat.fills, 3), "size": list(flat.page.size), "px_per_mm": PX_PER_MM}
        return {"grid": grid, "page": page, "as_it_is": self.as_it_is}


def read(picture: Image.Image) -> Reading:
    """The ink of the page in an RGB picture, or the picture as it came: a drawn page or a straight scan needs nothing,
    and nothing is cut from a picture in which no grid is found."""
    flat = flatten(picture)
    if flat is None or (flat.bent < _MOST_BENT and flat.fills > _LEAST_FILLED):
        return Reading(picture, flat, True)
    return Reading(Image.fromarray(flat.ink).convert("RGB"), flat, False)
