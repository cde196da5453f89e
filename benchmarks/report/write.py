"""A report on disk: report.json with its schema.json, report.md, and report.html, which needs no network and no other
file to show the same."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from benchmarks.report import summary
from benchmarks.report.plots import draw
from benchmarks.report.rows import Report
from benchmarks.report.schema import schema_of
from benchmarks.tasks import TASKS
from benchmarks.verbs.latency import ROWS
from pulse.files.folder import new_folder

_FOLDER = Path(__file__).parent
EVIDENCE = {
    "measured": "run on the named device",
    "simulated": "the vendor's own kernels of a chip that is not here, on this processor: answers count, times do not",
    "emulated": "the same instructions interpreted elsewhere: its answers count, its times do not",
    "estimated": "computed from sizes and published figures of a device, never run",
    "not_run": "could not be run; the reason is given",
}


def write(
    report: dict[str, Any],
    out: Path,
    pages: Mapping[str, np.ndarray],
    compared: dict[str, list[str]] | None = None,
) -> None:
    """Write the new folder `out`, which appears whole or not at all.

    pages: those of answers that changed, by id, uint8 [H, W, 3]. compared: what compare() found.

    Raises UserError when the folder is there already or cannot be written.
    """
    task = TASKS.load(report["accuracy"]["task"])
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
        "task": task,
        "answers": summary.columns(task),
        "headline": summary.headline(task),
        "figures": [(shown.key, shown.title, shown.places) for shown in task.shown],
        "classes": _changed_classes(report),
        "rows": ROWS,
        "cell": summary.cell,
        "number": summary.number,
        "evidence": EVIDENCE,
        "compared": compared,
    }
    with new_folder(out) as folder:
        text = json.dumps(report, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        (folder / "schema.json").write_text(json.dumps(schema_of(Report), indent=1) + "\n", encoding="utf-8")
        page = names.get_template("page.md.j2").render(content)
        (folder / "report.md").write_text(page, encoding="utf-8")
        page = names.get_template("page.html.j2").render(content, plots=draw(report), pages=_pages(report, pages))
        (folder / "report.html").write_text(page, encoding="utf-8")


def _changed_classes(report: dict[str, Any]) -> list[str]:
    """Those that some model named where the reference did not, or the other way round."""
    changed = {
        name: None
        for model in report["accuracy"]["models"]
        for name, each in model["kept"]["classes"].items()
        if each["gained"] or each["lost"]
    }
    return list(changed)


def _pages(report: dict[str, Any], pages: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Each page with the answers to it that changed: its labels, and who said what."""
    changed: dict[str, list[dict[str, Any]]] = {}
    for model in report["accuracy"]["models"]:
        for flip in model["kept"]["flips"]:
            changed.setdefault(flip["id"], []).append({"folder": model["subject"]["folder"], **flip})
    return [
        {"id": name, "flips": changed[name], "source": _inline(Image.fromarray(page))} for name, page in pages.items()
    ]


def _inline(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
