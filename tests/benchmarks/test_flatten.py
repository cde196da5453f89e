"""The page reader is scored against where the paper is, not against how it looks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.verbs import _flatten
from pulse.ecg.photo.scene.shoot import Shot

TRUE = np.random.default_rng(0).uniform(0, 200, (400, 2))


@pytest.mark.parametrize("turns", range(4))
def test_shifts_and_quarter_turns_do_not_count(turns: int) -> None:
    found = TRUE @ np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns) + (37, -5)
    assert _flatten._apart(found, TRUE) == pytest.approx({"rms_mm": 0, "median_mm": 0, "scale": 1}, abs=1e-3)


def test_a_wrong_scale_and_a_part_that_slipped_count() -> None:
    assert _flatten._apart(1.1 * TRUE, TRUE)["scale"] == pytest.approx(1.1, abs=1e-3)
    slipped = TRUE + np.where(TRUE[:, :1] > 150, (5.0, 0.0), 0.0)
    apart = _flatten._apart(slipped, TRUE)
    assert apart["median_mm"] == 0
    assert apart["rms_mm"] == pytest.approx(5 * np.sqrt((TRUE[:, 0] > 150).mean()), rel=0.05)


def test_a_sheet_straight_below_the_camera_is_read_to_a_tenth_of_a_millimetre() -> None:
    page = np.full((1200, 1600, 3), 250, np.uint8)
    page[::30], page[:, ::30] = (220, 150, 150), (220, 150, 150)  # 5 mm are 30 pixels
    page += np.random.default_rng(0).integers(0, 6, page.shape, np.uint8)
    across, down = np.meshgrid((np.arange(400) + 0.5) * 4 / 6, (np.arange(300) + 0.5) * 4 / 6)
    row = _flatten.score(Shot(page, np.stack([across, down], -1), (1600 / 6, 200.0)))
    assert row["rms_mm"] < 0.1
    assert row["scale"] == pytest.approx(1, abs=0.002)
    blank = _flatten.score(Shot(np.full_like(page, 250), np.stack([across, down], -1), (1600 / 6, 200.0)))
    assert "rms_mm" not in blank


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "flatten.json"
    assert main(["flatten", "--limit", "5", "--scene", "3", "--out", str(out)]) == 0
    assert "search" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert len(result["pictures"]) == result["figures"]["all"]["pictures"] == 5
    assert len({row["family"] for row in result["pictures"]}) == 5
