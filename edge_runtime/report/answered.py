"""What pulse-ask's answer is on paper: the same sheets as the app's, in English."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edge_runtime.answer import Answer
from edge_runtime.bundle import Provenance
from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from edge_runtime.findings import Finding
from edge_runtime.image import locate
from edge_runtime.report.dicom import encapsulated, is_dicom
from edge_runtime.report.sheets import Colour, Named, Report, Said, as_pdf, as_png

_TITLE, _FOOTER = "ECG report", "Research use only. Not a diagnosis."
KINDS = (".pdf", ".png", ".dcm")


def check(path: str) -> None:
    """Raises UserError when no report can be written there, before the model is at work."""
    if Path(path).suffix.lower() not in KINDS:
        raise UserError(f"{path}: a report is a .pdf, .png or .dcm; name it so")
    if not Path(path).absolute().parent.is_dir():
        raise UserError(f"{path}: its folder is not there; make it first")


def report(
    answer: Answer, question: str, seen: Image.Image, model: Provenance, when: datetime, measured: str = ""
) -> Report:
    """What stands on the sheets. seen: the page as the model saw it. measured: a line on what was measured, or ""."""
    aside = f"Left out, as unlikely by its own probability or said before: {'; '.join(answer.left_out)}"
    lines = (
        *([measured] if measured else []),
        f"Time: {when:%Y-%m-%d %H:%M:%S %Z}",
        f"Model: {model.name} ({model.target})",
        f"SHA-256 of manifest.json: {model.digest}",
        f"SHA-256 of certificate.json: {model.certificate or 'none'}",
    )
    said = Said(_plain(question), _plain(answer.text), _plain(aside) if answer.left_out else "")
    findings = tuple(Named(_plain(f.told), f.probability, f.likely, _worth(f)) for f in answer.findings)
    return Report(_TITLE, model.notice, _FOOTER, seen, (said,), findings, tuple(map(_plain, lines)))


def write(path: str, report: Report, model: Provenance, when: datetime, picture: str | os.PathLike[str]) -> None:
    """Write the report whole, as its name says. picture: what was read; a DICOM file's study is the report's too.

    Raises UserError when it cannot be written.
    """
    suffix = Path(path).suffix.lower()
    made: dict[str, Callable[[], bytes]] = {
        ".pdf": partial(as_pdf, report, _Plain()),
        ".png": partial(as_png, report, _Plain()),
        ".dcm": partial(_as_dicom, report, model, when, picture),
    }
    data = made[suffix]()
    try:
        with replacing(path) as aside:
            aside.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); give another --report") from None


def _as_dicom(report: Report, model: Provenance, when: datetime, picture: str | os.PathLike[str]) -> bytes:
    _, file, _ = locate(picture)  # scan.dcm#2 is of its study too
    source = file if isinstance(file, Path) and is_dicom(file) else None
    return encapsulated(as_pdf(report, _Plain()), report.title, f"{model.name} ({model.target})", when, source)


def _worth(found: Finding) -> str:
    if found.sensitivity is None or found.precision is None:
        return ""
    return f"Sensitivity {100 * found.sensitivity:.0f} %, precision {100 * found.precision:.0f} %"


def _plain(text: str) -> str:
    """Pillow's own typeface has no letters beyond ASCII; they are escaped, as on a terminal that has none."""
    return text.encode("ascii", "backslashreplace").decode()


class _Plain:
    """A pen that needs no font beside Pillow's own."""

    def length(self, text: str, size: int) -> float:
        return float(_font(size).getlength(text))

    def write(self, sheet: Image.Image, at: tuple[float, float], line: str, colour: Colour, size: int) -> None:
        ImageDraw.Draw(sheet).text(at, line, colour, _font(size))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own. Raises UserError where Pillow was built without FreeType."""
    found = ImageFont.load_default(size)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise UserError("a report needs Pillow with FreeType; pip install --force-reinstall pillow")
    return found
