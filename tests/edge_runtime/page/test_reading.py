"""What a model is shown: the ink of a photographed page, and any other picture as it came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle import Bundle, bundle_folder
from edge_runtime.engines import Engine
from edge_runtime.inference import Inference
from edge_runtime.page.reading import read
from edge_runtime.preprocess import pixels
from edge_runtime.session import Session
from tests.edge_runtime.page.sheets import sheet, turned

EXAMPLES = Path(__file__).parents[3] / "demo_app" / "examples"


def test_a_photograph_becomes_ink() -> None:
    reading = read(turned(sheet(), 9, 0.6, (2400, 1700)))
    assert reading.flat is not None
    assert np.asarray(reading.picture)[..., 0].shape == reading.flat.ink.shape
    assert reading.picture.mode == "RGB"


@pytest.mark.parametrize("name", ["a-atrial-fibrillation.jpg", "b-normal.jpg", "c-infarction.jpg"])
def test_a_drawn_page_goes_on_as_it_is(name: str) -> None:
    picture = Image.open(EXAMPLES / name).convert("RGB")
    assert read(picture).picture is picture


def test_a_picture_without_a_grid_goes_on_as_it_is() -> None:
    picture = Image.new("RGB", (300, 200), "white")
    reading = read(picture)
    assert (reading.picture, reading.grid, reading.flat) == (picture, None, None)


class Watched:
    """An engine that keeps the pixels it was shown."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.pixels = engine, np.zeros(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        self.pixels = pixels
        return self._engine.vision(pixels)


@pytest.mark.parametrize("flatten", [None, True, False])
def test_the_model_sees_the_ink_unless_it_is_told_not_to(flatten: bool | None) -> None:
    bundle = Bundle.load(bundle_folder("pulse-nano"))
    assert bundle.manifest.inference.flatten
    photo = turned(sheet(), 9, 0.6, (2400, 1700))
    session = Session.of(bundle, 1, flatten=flatten)
    watched = Watched(session.engine)
    session.engine = watched
    session.look(photo)
    shown = photo if flatten is False else read(photo).picture
    np.testing.assert_array_equal(watched.pixels, pixels(shown, bundle.manifest.inference.preprocess))


def test_a_manifest_without_the_field_leaves_pictures_alone() -> None:
    own = Bundle.load(bundle_folder("pulse-nano")).manifest.inference
    assert own.to_dict()["flatten"] is True
    assert "flatten" not in replace(own, flatten=False).to_dict()
    assert Inference.__dataclass_fields__["flatten"].default is False
