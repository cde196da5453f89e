"""An answer as a picture or a PDF to keep or hand on: page, words, findings, and which bundle said so when."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image

from demo_app import pen
from demo_app.evidence import Measured, PageEvidence
from demo_app.evidence_sheet import sheet as evidence_sheet
from demo_app.history import Entry, Turn
from demo_app.settings import write_whole
from demo_app.strings import finding_name, finding_worth, translate
from edge_runtime.report.sheets import HEIGHT, WIDTH, Named, Report, Said, as_pdf, as_png

_WRITE = {".pdf": as_pdf, ".png": as_png}


def report(entry: Entry, page: Image.Image, language: str, evidence: PageEvidence | None = None) -> Report:
    """What stands on its sheets. evidence: of the page, where it is still known; its curves are drawn on the last."""
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(entry.created))
    findings = (
        Named(finding_name(language, f), f.probability, f.likely, finding_worth(language, f)) for f in entry.findings
    )
    return Report(
        entry.title,
        translate(language, "notice.long"),
        translate(language, "notice.short"),
        page,
        tuple(Said(turn.question, turn.answer, _left_out(turn, language)) for turn in entry.turns),
        tuple(findings),
        (
            f"{translate(language, 'share.when')}: {when}",
            f"{translate(language, 'share.model')}: {entry.model} ({entry.target})",
            f"{translate(language, 'share.digest')}: {entry.digest}",
        ),
        _measured(entry, page, language, evidence),
    )


def _measured(entry: Entry, page: Image.Image, language: str, evidence: PageEvidence | None) -> tuple[Image.Image, ...]:
    if entry.measured is None:
        return ()
    shown = evidence.traces if evidence is not None else ()
    return (evidence_sheet(Measured.from_json(entry.measured), shown, page, language, (WIDTH, HEIGHT)),)


def save(entry: Entry, page: Image.Image, target: Path, language: str, evidence: PageEvidence | None = None) -> None:
    """Write `target`, a .pdf (all sheets) or .png (the sheets one below the other), and beside it the signals of the
    evidence (WFDB, CSV), if any. Raises UserError."""
    drawn = _WRITE[target.suffix](report(entry, page, language, evidence), pen)
    for name, data in (evidence.files(target.stem) if evidence is not None else {}).items():
        write_whole(target.with_name(name), data)
    write_whole(target, drawn)


def file_name(entry: Entry, suffix: str) -> str:
    """ecg-20261125-161500.pdf: sorts by time, and says nothing about a patient."""
    return f"ecg-{time.strftime('%Y%m%d-%H%M%S', time.localtime(entry.created))}{suffix}"


def _left_out(turn: Turn, language: str) -> str:
    return translate(language, "result.left_out", words="; ".join(turn.left_out)) if turn.left_out else ""
