"""What tests of pulse-read share: an archive of many pages, and the rows of an output folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "pulse" / "ecg" / "examples").glob("*.png"))


def many_pages(folder, count):
    """Small pages, no two alike, and one that is damaged."""
    folder.mkdir(parents=True)
    for number in range(count):
        page = np.asarray(Image.open(PAGES[number % len(PAGES)]).convert("L").resize((544, 384))).copy()
        page[0, number] = 0
        Image.fromarray(page).save(folder / f"page-{number:03d}.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def rows(out):
    """In the inputs' order; one that is there twice stays twice."""
    found = [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: (row["input"], row["page"]))
