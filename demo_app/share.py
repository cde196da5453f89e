"""An answer as a picture or a PDF to keep or hand on: page, words, findings, and which bundle said so when."""

from __future__ import annotations

import time
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from demo_app.evidence import Measured, PageEvidence
from demo_app.evidence_sheet import sheet as evidence_sheet
from demo_app.history import Entry
from demo_app.settings import write_whole
from demo_app.strings import finding_name, finding_worth, translate

# A4 at 150 dots an inch.
_WIDTH, _HEIGHT, _MARGIN = 1240, 1754, 84
_INK, _MUTED, _PALE, _ACCENT = (21, 32, 43), (86, 100, 115), (226, 231, 238), (10, 108, 143)
FORMATS = (".pdf", ".png")


def sheets(entry: Entry, page: Image.Image, language: str, evidence: PageEvidence | None = None) -> list[Image.Image]:
    """A4 sheets, RGB, 1240 x 1754 pixels: the first with the page, as many more as the words need, and one with what
    was measured. evidence: of the page, where it is still known; its curves are drawn there."""
    sheet = _Sheets(translate(language, "notice.short"))
    sheet.text(entry.title, 34, _INK)
    sheet.text(translate(language, "notice.long"), 20, _MUTED)
    sheet.space(16)
    sheet.picture(page)
    for turn in entry.turns:
        sheet.space(18)
        sheet.text(turn.question, 22, _ACCENT)
        sheet.text(turn.answer, 25, _INK)
        if turn.left_out:
            sheet.text(translate(language, "result.left_out", words="; ".join(turn.left_out)), 18, _MUTED)
    if entry.findings:
        sheet.space(22)
        for finding in sorted(entry.findings, key=lambda f: -f.probability):
            sheet.bar(finding_name(language, finding.label, finding.name), finding.probability, finding.likely)
            if told := finding_worth(language, finding):
                sheet.text(told, 16, _MUTED)
    sheet.space(22)
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(entry.created))
    for line in (
        f"{translate(language, 'share.when')}: {when}",
        f"{translate(language, 'share.model')}: {entry.model} ({entry.target})",
        f"{translate(language, 'share.digest')}: {entry.digest}",
    ):
        sheet.text(line, 18, _MUTED)
    last = []
    if entry.measured is not None:
        shown = evidence.traces if evidence is not None else ()
        measured = Measured.from_json(entry.measured)
        last = [evidence_sheet(measured, shown, page, language, _font, (_WIDTH, _HEIGHT))]
    return [*sheet.done(), *last]


def save(entry: Entry, page: Image.Image, target: Path, language: str, evidence: PageEvidence | None = None) -> None:
    """Write `target`, a .pdf (all sheets) or .png (the sheets one below the other), and beside it the signals of the
    evidence (WFDB, CSV), if any. Raises UserError."""
    drawn, file = sheets(entry, page, language, evidence), BytesIO()
    if target.suffix == ".pdf":
        about = {"title": entry.title, "producer": "pulse-edge", "subject": translate(language, "notice.long")}
        drawn[0].save(file, "PDF", resolution=150, save_all=True, append_images=drawn[1:], quality=90, **about)
    elif target.suffix == ".png":
        whole = Image.new("RGB", (_WIDTH, _HEIGHT * len(drawn)), "white")
        for index, one in enumerate(drawn):
            whole.paste(one, (0, index * _HEIGHT))
        whole.save(file, "PNG", optimize=True)
    else:
        raise ValueError(f"{target.suffix}: not one of {FORMATS}")
    for name, data in (evidence.files(target.stem) if evidence is not None else {}).items():
        write_whole(target.with_name(name), data)
    write_whole(target, file.getvalue())


def file_name(entry: Entry, suffix: str) -> str:
    """ecg-20261125-161500.pdf: sorts by time, and says nothing about a patient."""
    return f"ecg-{time.strftime('%Y%m%d-%H%M%S', time.localtime(entry.created))}{suffix}"


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """The one that the app's window uses: Pillow's own has no letters beyond ASCII."""
    kivy = find_spec("kivy")
    assert kivy is not None  # the app runs on it
    assert kivy.origin is not None
    return ImageFont.truetype(Path(kivy.origin).parent / "data" / "fonts" / "Roboto-Regular.ttf", size)


class _Sheets:
    """Draws from top to bottom and starts a new sheet when one is full."""

    def __init__(self, footer: str) -> None:
        self._sheets: list[Image.Image] = []
        self._footer = footer
        self._start()

    def _start(self) -> None:
        self._sheets.append(Image.new("RGB", (_WIDTH, _HEIGHT), "white"))
        self._draw = ImageDraw.Draw(self._sheets[-1])
        self._draw.text((_MARGIN, _HEIGHT - 60), self._footer, _MUTED, _font(17))
        self._y = float(_MARGIN)

    def _room(self, height: float) -> None:
        if self._y + height > _HEIGHT - _MARGIN:
            self._start()

    def space(self, height: float) -> None:
        self._y += height

    def text(self, text: str, size: float, colour: tuple[int, int, int]) -> None:
        font = _font(size)
        for line in _wrapped(text, font, _WIDTH - 2 * _MARGIN):
            self._room(1.4 * size)
            self._draw.text((_MARGIN, self._y), line, colour, font)
            self._y += 1.4 * size

    def picture(self, page: Image.Image) -> None:
        scale = min((_WIDTH - 2 * _MARGIN) / page.width, 0.5 * _HEIGHT / page.height)
        small = page.resize((round(page.width * scale), round(page.height * scale)), Image.Resampling.LANCZOS)
        self._room(small.height)
        self._sheets[-1].paste(small, (_MARGIN, round(self._y)))
        self._y += small.height

    def bar(self, name: str, probability: float, likely: bool) -> None:
        self._room(32)
        font, left, right = _font(20), _MARGIN + 520, _WIDTH - _MARGIN - 90
        self._draw.text((_MARGIN, self._y), name, _INK if likely else _MUTED, font)
        box = (left, self._y + 6, right, self._y + 20)
        self._draw.rectangle(box, _PALE)
        self._draw.rectangle((box[0], box[1], left + round((right - left) * probability), box[3]), _ACCENT)
        self._draw.text((right + 20, self._y), f"{100 * probability:.0f} %", _INK, font)
        self._y += 32

    def done(self) -> list[Image.Image]:
        return self._sheets


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines that fit; a word longer than a line is broken, so that nothing runs off the paper."""
    lines: list[str] = []
    space = font.getlength(" ")
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0.0
        for word in (piece for whole in paragraph.split(" ") for piece in _broken(whole, font, width)):
            needed = font.getlength(word)
            if line and used + space + needed > width:
                lines.append(line)
                line, used = word, needed
            else:
                line, used = (f"{line} {word}", used + space + needed) if line else (word, needed)
        lines.append(line)
    return lines


def _broken(word: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The word in pieces of at most `width`: nearly always one."""
    widest = max((font.getlength(c) for c in set(word)), default=0.0)
    if widest * len(word) <= width or font.getlength(word) <= width:
        return [word]
    most = max(1, int(width / widest))
    return [word[i : i + most] for i in range(0, len(word), most)]
