"""Sheets of A4: a page, what was said of it, findings, and which bundle said so when. For the app and pulse-ask."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from PIL import Image, ImageDraw

# A4 at 150 dots an inch.
DPI = 150
WIDTH, HEIGHT, _MARGIN = 1240, 1754, 84
_INK, _MUTED, _PALE, _ACCENT = (21, 32, 43), (86, 100, 115), (226, 231, 238), (10, 108, 143)
Colour = tuple[int, int, int]


class Pen(Protocol):
    """Writes lines in a typeface of some pixels."""

    def length(self, text: str, size: int, /) -> float:
        """Pixels that the text takes on one line."""

    def write(self, sheet: Image.Image, at: tuple[float, float], line: str, colour: Colour, size: int, /) -> None:
        """A line on an RGB sheet, its letters' top left at `at`."""


@dataclass(frozen=True)
class Said:
    """A question and its answer. aside: what is to be read beside it, or ""."""

    question: str
    answer: str
    aside: str = ""


@dataclass(frozen=True)
class Named:
    """A finding: its name, its probability, whether it is likely. worth: a line on what naming it is worth, or ""."""

    name: str
    probability: float
    likely: bool
    worth: str = ""


@dataclass(frozen=True)
class Report:
    """What stands on the sheets, in the reader's language. page: the picture. origin: when it was said, and by what.
    more: sheets that follow."""

    title: str
    notice: str
    footer: str
    page: Image.Image
    turns: tuple[Said, ...]
    findings: tuple[Named, ...]
    origin: tuple[str, ...]
    more: tuple[Image.Image, ...] = ()


def sheets(report: Report, pen: Pen) -> list[Image.Image]:
    """A4 sheets, RGB, 1240 x 1754 pixels: the first with the page, as many more as the words need."""
    sheet = _Sheets(report.footer, pen)
    sheet.text(report.title, 34, _INK)
    sheet.text(report.notice, 20, _MUTED)
    sheet.space(16)
    sheet.picture(report.page)
    for said in report.turns:
        sheet.space(18)
        sheet.text(said.question, 22, _ACCENT)
        sheet.text(said.answer, 25, _INK)
        if said.aside:
            sheet.text(said.aside, 18, _MUTED)
    if report.findings:
        sheet.space(22)
        for finding in sorted(report.findings, key=lambda f: -f.probability):
            sheet.bar(finding.name, finding.probability, finding.likely)
            if finding.worth:
                sheet.text(finding.worth, 16, _MUTED)
    sheet.space(22)
    for line in report.origin:
        sheet.text(line, 18, _MUTED)
    return [*sheet.done(), *report.more]


def as_pdf(report: Report, pen: Pen) -> bytes:
    """The sheets as a PDF of pictures."""
    drawn, file = sheets(report, pen), BytesIO()
    about = {"title": report.title, "producer": "pulse-edge", "subject": report.notice}
    drawn[0].save(file, "PDF", resolution=DPI, save_all=True, append_images=drawn[1:], quality=90, **about)
    return file.getvalue()


def as_png(report: Report, pen: Pen) -> bytes:
    """The sheets one below the other."""
    drawn, file = sheets(report, pen), BytesIO()
    whole = Image.new("RGB", (WIDTH, HEIGHT * len(drawn)), "white")
    for index, one in enumerate(drawn):
        whole.paste(one, (0, index * HEIGHT))
    whole.save(file, "PNG", optimize=True)
    return file.getvalue()


class _Sheets:
    """Draws from top to bottom and starts a new sheet when one is full."""

    def __init__(self, footer: str, pen: Pen) -> None:
        self._sheets: list[Image.Image] = []
        self._pen = pen
        self._footer = footer
        self._start()

    def _start(self) -> None:
        self._sheets.append(Image.new("RGB", (WIDTH, HEIGHT), "white"))
        self._draw = ImageDraw.Draw(self._sheets[-1])
        self._write(_MARGIN, HEIGHT - 60, self._footer, _MUTED, 17)
        self._y = float(_MARGIN)

    def _room(self, height: float) -> None:
        if self._y + height > HEIGHT - _MARGIN:
            self._start()

    def space(self, height: float) -> None:
        self._y += height

    def text(self, text: str, size: int, colour: Colour) -> None:
        for line in _wrapped(text, self._pen, size, WIDTH - 2 * _MARGIN):
            self._room(1.4 * size)
            self._write(_MARGIN, self._y, line, colour, size)
            self._y += 1.4 * size

    def _write(self, x: float, y: float, line: str, colour: Colour, size: int) -> None:
        self._pen.write(self._sheets[-1], (x, y), line, colour, size)

    def picture(self, page: Image.Image) -> None:
        scale = min((WIDTH - 2 * _MARGIN) / page.width, 0.5 * HEIGHT / page.height)
        small = page.resize((round(page.width * scale), round(page.height * scale)), Image.Resampling.LANCZOS)
        self._room(small.height)
        self._sheets[-1].paste(small, (_MARGIN, round(self._y)))
        self._y += small.height

    def bar(self, name: str, probability: float, likely: bool) -> None:
        self._room(32)
        left, right = _MARGIN + 520, WIDTH - _MARGIN - 90
        self._write(_MARGIN, self._y, name, _INK if likely else _MUTED, 20)
        box = (left, self._y + 6, right, self._y + 20)
        self._draw.rectangle(box, _PALE)
        self._draw.rectangle((box[0], box[1], left + round((right - left) * probability), box[3]), _ACCENT)
        self._write(right + 20, self._y, f"{100 * probability:.0f} %", _INK, 20)
        self._y += 32

    def done(self) -> list[Image.Image]:
        return self._sheets


def _wrapped(text: str, pen: Pen, size: int, width: float) -> list[str]:
    """Lines that fit; a word longer than a line is broken, so that nothing runs off the paper."""
    lines: list[str] = []
    space = pen.length(" ", size)
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0.0
        for word in (piece for whole in paragraph.split(" ") for piece in _broken(whole, pen, size, width)):
            needed = pen.length(word, size)
            if line and used + space + needed > width:
                lines.append(line)
                line, used = word, needed
            else:
                line, used = (f"{line} {word}", used + space + needed) if line else (word, needed)
        lines.append(line)
    return lines


def _broken(word: str, pen: Pen, size: int, width: float) -> list[str]:
    """The word in pieces of at most `width`: nearly always one."""
    widest = max((pen.length(c, size) for c in set(word)), default=0.0)
    if widest * len(word) <= width or pen.length(word, size) <= width:
        return [word]
    most = max(1, int(width / widest))
    return [word[i : i + most] for i in range(0, len(word), most)]
