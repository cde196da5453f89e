"""What a model is shown: the ink of a photographed page, and any other picture as it came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle import Bundle, bundle_folder
from edge_runtime.inference import Inference
from edge_runtime.page.reading import read
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


def test_the_shipped_bundle_flattens_unless_it_is_told_not_to() -> None:
    bundle = Bundle.load(bundle_folder("pulse-nano"))
    assert bundle.manifest.inference.flatten
    page = Image.open(EXAMPLES / "b-normal.jpg").convert("RGB")
    on_a_desk = Image.new("RGB", (1800, 1400), (140, 100, 70))
    on_a_desk.paste(page.rotate(-12, Image.Resampling.BICUBIC, expand=True, fillcolor=(140, 100, 70)), (300, 300))
    flat, raw = (Session.of(bundle, 1, flatten=choice).look(on_a_desk) for choice in (None, False))
    assert flat.is_ecg is not None
    assert raw.is_ecg is not None
    assert flat.is_ecg > raw.is_ecg


def test_a_manifest_without_the_field_leaves_pictures_alone() -> None:
    own = Bundle.load(bundle_folder("pulse-nano")).manifest.inference
    assert own.to_dict()["flatten"] is True
    assert "flatten" not in replace(own, flatten=False).to_dict()
    assert Inference.__dataclass_fields__["flatten"].default is False
