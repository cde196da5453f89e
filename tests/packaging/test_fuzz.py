"""Damaged and odd files of every kind that people bring: each is read or refused with one line, never with a traceback.

FUZZ=N takes N times as many cases as CI does: `FUZZ=10 python -m pytest tests/packaging/test_fuzz.py`.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_runtime.image import load
from edge_runtime.manifest import parse
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.read import read_record
from tests.fuzz import changed, often, read_or_refuse
from tests.golden import GOLDEN

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "tests" / "data" / "ptbxl" / "records100" / "00000" / "00010_lr"
MANIFEST = json.loads((ROOT / "edge_runtime" / "nano" / "manifest.json").read_text(encoding="utf-8"))
CONFIG = json.loads((GOLDEN / "a" / "checkpoint" / "config.json").read_text())


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some of them changed, cut out or cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["change", "cut out", "cut off", "put in"]))
        if how == "change" and data:
            data[at] = draw(st.integers(0, 255))
        elif how == "cut out":
            del data[at : at + draw(st.integers(1, 40))]
        elif how == "cut off":
            del data[at:]
        else:
            data[at:at] = draw(st.binary(max_size=20))
    return bytes(data)


def saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    values = np.random.default_rng(1).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


PICTURES = [saved(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PDF", "AVIF")]
TABLE = "time,I,II,V1,V2,V3,V4,V5,V6\n" + "\n".join(
    ",".join(f"{value:g}" for value in (k / 100, *np.round(np.sin(np.arange(8) + k / 9), 3))) for k in range(260)
)


@often
@given(changed(MANIFEST))
def test_manifests(data: dict[str, Any]) -> None:
    read_or_refuse(lambda: parse(data))


@often
@given(changed(CONFIG))
def test_published_configs(data: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkpoint"
        place.mkdir()
        (Path(folder) / "vision_tower").symlink_to(GOLDEN / "a" / "vision_tower")
        (place / "config.json").write_text(json.dumps(data))
        read_or_refuse(lambda: Checkpoint.open(place))


@often
@given(st.sampled_from(PICTURES).flatmap(damaged))
def test_pictures(data: bytes) -> None:
    read_or_refuse(lambda: load(data))


@often
@given(damaged(RECORD.with_suffix(".hea").read_bytes()))
def test_wfdb_headers(header: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "00010_lr.hea").write_bytes(header)
        (Path(folder) / "00010_lr.dat").symlink_to(RECORD.with_suffix(".dat"))
        read_or_refuse(lambda: read_record(Path(folder) / "00010_lr.hea"))


@often
@given(damaged(TABLE.encode()))
def test_tables(table: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.csv").write_bytes(table)
        read_or_refuse(lambda: read_record(Path(folder) / "a.csv"))


def test_the_undamaged_ones_are_read() -> None:
    parse(MANIFEST)
    Checkpoint.open(GOLDEN / "a" / "checkpoint")
    assert [load(data).size for data in PICTURES[:5]] == [(48, 40)] * 5
    assert read_record(RECORD).fs == 100
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.csv").write_text(TABLE)
        assert read_record(Path(folder) / "a.csv").fs == pytest.approx(100)
