"""What a picture is turned into before a model looks at it."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from edge_runtime.page.flatten import PX_PER_MM, FlatPage, Grid, find_grid, flatten

# A JPEG may be decoded down to this many pixels a side: a millimetre is then still 4 of them on most photographs.
DRAFT = (1100, 1100)
_MOST_BENT = 1.0  # squares
_ALL = 0.97  # of the picture in which the grid was followed: it is all page
_LEAST_FILLED = 0.8  # of the picture


@dataclass(frozen=True)
class Reading:
    """picture: what a model looks at. grid: None where none was found. flat: the page it was taken from; None where
    picture is the one that came, since there is no grid or the page lies flat in it already."""

    picture: Image.Image
    grid: Grid | None
    flat: FlatPage | None


def read(picture: Image.Image) -> Reading:
    """The ink of the page in an RGB picture, or the picture as it came: a drawn page or a straight scan needs nothing,
    and nothing is cut from a picture in which no grid is found."""
    grid = find_grid(picture)
    straight = grid is not None and grid.bent < _MOST_BENT
    if grid is None or (straight and grid.lattice.share > _ALL):
        return Reading(picture, grid, None)
    flat = flatten(picture, grid)
    if straight and flat.fills > _LEAST_FILLED:
        return Reading(picture, grid, None)
    return Reading(Image.fromarray(flat.ink).convert("RGB"), grid, flat)


def as_json(reading: Reading, flat: FlatPage | None) -> dict[str, object]:
    """What was found, in pixels of the picture that came; flat: its flat page, whether a model sees it or not."""
    grid, found = reading.grid, None
    if grid is not None and flat is not None:
        found = {
            "px_per_mm": round(grid.px_per_mm, 3),
            "turned_degrees": round(grid.turned, 1),
            "bent_mm": round(5 * grid.bent, 1),
            "followed": round(grid.lattice.share, 3),
            "outline": flat.outline.round(1).tolist(),
            "fills": round(flat.fills, 3),
            "page": {"width": flat.page.width, "height": flat.page.height, "px_per_mm": PX_PER_MM},
        }
    return {"grid": found, "goes_on_as_it_is": reading.flat is None}
