"""Any-resolution tiling against PULSE's own code on 160 sizes, and its fields in the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from edge_runtime.anyres import best_resolution, placed, tiles, unpadded
from edge_runtime.errors import UserError
from edge_runtime.preprocess import PreprocessSpec, canvas, draft_size
from tests.golden import GOLDEN

TABLE = json.loads((GOLDEN / "anyres_table.json").read_text())
PINPOINTS = [tuple(pair) for pair in TABLE["grid_pinpoints_wh"]]
TILE = (336, 336)
FIELDS = {
    "mode": "anyres",
    "width": 336,
    "height": 336,
    "channels": "rgb",
    "resample": "bicubic",
    "fill": 0,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "pinpoints": [list(pair) for pair in PINPOINTS],
    "merge": "flat",
}


def rows() -> Iterator[tuple[dict, tuple[int, int]]]:
    for row in TABLE["rows"]:
        yield row, tuple(row["image_wh"])


def test_canvas_size_and_place_of_every_picture() -> None:
    for row, size in rows():
        best = best_resolution(size, PINPOINTS)
        new, corner = placed(size, best)
        assert [list(best), list(new), list(corner)] == [
            row["best_resolution_wh"],
            row["resized_wh"],
            row["paste_xy"],
        ], size


def test_unpadded_grid_of_every_picture() -> None:
    for row, size in rows():
        count, width = row["n_tiles"] * 576, 3
        assert count == row["flat_tokens"]
        features = np.arange(count * width, dtype=np.float32).reshape(count, width)
        found = unpadded(features, np.full(width, -1, np.float32), size, TILE, PINPOINTS)
        assert len(found) == row["spatial_unpad_tokens"], size
        assert np.array_equal(found[:576], features[:576])
        grid = found[576:].reshape(row["unpad_feature_hw"][0], -1, width)
        assert (grid[:, -1] == -1).all()
        # Patches of a tile's row follow each other, and its last one is followed by the next tile's first.
        assert set(np.diff(grid[:, :-1, 0]).ravel().tolist()) <= {width, (576 - 23) * width}


def test_tiles_are_the_whole_and_then_the_page_row_by_row() -> None:
    page = Image.effect_noise((600, 600), 80).convert("RGB")
    cut = tiles(page, TILE, PINPOINTS, Image.Resampling.BICUBIC, 0)
    assert cut.shape == (5, 336, 336, 3)
    assert np.array_equal(cut[0], np.asarray(page.resize(TILE)))
    big = np.asarray(page.resize((672, 672)))
    for k, (top, left) in enumerate([(0, 0), (0, 336), (336, 0), (336, 336)]):
        assert np.array_equal(cut[1 + k], big[top : top + 336, left : left + 336])


def test_an_array_is_tiled_as_its_picture() -> None:
    spec = PreprocessSpec.from_dict(FIELDS)
    page = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    assert np.array_equal(canvas(page, spec), canvas(Image.fromarray(page), spec))
    assert min(draft_size(spec)) > 5000  # the tokens depend on the picture's own size


def test_crop_keeps_the_middle() -> None:
    spec = PreprocessSpec.from_dict({**FIELDS, "mode": "crop", "width": 10, "height": 10})
    page = np.zeros((20, 40, 3), np.uint8)
    page[:, 10:30] = 200
    assert (canvas(page, spec)[0, :, 2:-2] == 200).all()
    assert canvas(page.transpose(1, 0, 2), spec).shape == (1, 10, 10, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("pinpoints", [[336]]), ("pinpoints", [[336, 100]]), ("pinpoints", 3), ("merge", "unpad")],
)
def test_wrong_fields_are_named(field: str, value: object) -> None:
    with pytest.raises(UserError, match=field):
        PreprocessSpec.from_dict({**FIELDS, field: value})
