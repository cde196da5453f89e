"""A report on disk: report.json, report.md and report.html, which shows the same without network or other files."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from benchmarks.report import summary
from benchmarks.report.plots import draw
from benchmarks.sample import data_folder
from benchmarks.verbs.latency import ROWS
from benchmarks.verbs.retention import FIGURES
from pulse.ecg.paper.render import render
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl
from pulse.files.folder import new_folder

SHOWN = 6  # pages of records that changed their answer
_FOLDER = Path(__file__).parent
EVIDENCE = {
    "measured": "run on the named device",
    "emulated": "the same instructions interpreted elsewhere: its answers count, its times do not",
    "estimated": "computed from sizes and published figures of a device, never run",
    "not_run": "could not be run; the reason is given",
}


def write(report: dict[str, Any], out: Path, compared: dict[str, list[str]] | None = None) -> None:
    """Write the new folder `out`, which appears whole or not at all. compared: what compare() found.

    Raises UserError when the folder is there already or cannot be written.
    """
    names = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    content = {
        "report": report,
        "lines": summary.lines(report),
        "times": summary.TIMES,
        "answers": summary.ANSWERS,
        "figures": FIGURES,
        "rows": ROWS,
        "classes": SUPERCLASSES,
        "cell": summary.cell,
        "number": summary.number,
        "evidence": EVIDENCE,
        "compared": compared,
    }
    with new_folder(out) as folder:
        text = json.dumps(report, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        page = names.get_template("page.md.j2").render(content)
        (folder / "report.md").write_text(page, encoding="utf-8")
        page = names.get_template("page.html.j2").render(content, plots=draw(report), pages=_pages(report))
        (folder / "report.html").write_text(page, encoding="utf-8")


def _pages(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the records whose answer changed in some model, the first SHOWN: labels, who said what, and the page."""
    accuracy = report["accuracy"]
    changed: dict[int, list[dict[str, Any]]] = {}
    for model in accuracy["models"]:
        for flip in model["kept"]["flips"]:
            changed.setdefault(flip["ecg_id"], []).append({"folder": model["subject"]["folder"], **flip})
    pages = []
    with data_folder(accuracy["data"]) as folder:
        database = PtbXl(folder)
        for ecg_id in sorted(changed)[:SHOWN]:
            image = render(database[ecg_id]).image
            pages.append({"ecg_id": ecg_id, "flips": changed[ecg_id], "source": _inline(Image.fromarray(image))})
    return pages


def _inline(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
