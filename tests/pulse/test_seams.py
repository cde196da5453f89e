"""A stranger's format, layout and family of pages are one file each: the docs' examples, put into their folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pulse.ecg.record import LEADS
from tests.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    added = {
        "format.py": "pulse/ecg/formats/json_leads.py",
        "layout.py": "edge_runtime/page/layouts/limb_leads.py",
        "family.py": "pulse/ecg/paper/families/ward.py",
    }
    return House.build(tmp_path_factory.mktemp("house"), ("edge_runtime", "pulse"), added)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Ten seconds in which lead k swings k + 1 times a second by a millivolt."""
    seconds = np.arange(0, 10, 1 / 250)
    leads = {name: np.rint(1000 * np.sin(2 * np.pi * (k + 1) * seconds)).tolist() for k, name in enumerate(LEADS)}
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"fs": 250, "unit": "uV", "leads": leads}))
    return path


def test_a_record_of_the_format_is_drawn_in_the_layout(house: House, record: Path, tmp_path: Path) -> None:
    drawn = {}
    for layout in ("6x1", "3x4"):
        out = tmp_path / f"{layout}.png"
        assert layout in house.prints("pulse.ecg.page_cli", record, "--layout", layout, "--out", out)
        drawn[layout] = np.asarray(Image.open(out).convert("L"))
    # Six rows of leads stand where three do: the dark of the traces lies elsewhere.
    rows = {layout: (image < 90).mean(1) for layout, image in drawn.items()}
    assert np.abs(rows["6x1"] - rows["3x4"]).max() > 0.05


def test_a_page_of_the_family_is_drawn(house: House, record: Path, tmp_path: Path) -> None:
    out = tmp_path / "ward.png"
    house.prints("pulse.ecg.page_cli", record, "--family", "ward", "--seed", "3", "--out", out)
    red, _, blue = np.asarray(Image.open(out).convert("RGB"), float).mean((0, 1))
    assert blue > red + 2  # the grid


def test_a_damaged_file_of_the_format_is_one_line(house: House, record: Path, tmp_path: Path) -> None:
    record.write_text("{")
    done = house.run("pulse.ecg.page_cli", record, "--out", tmp_path / "page.png")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "record.json is no JSON with fs" in done.stderr
