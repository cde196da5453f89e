"""An answer as a picture or a PDF to keep or hand on: page, words, findings, and which bundle said so when."""

from __future__ import annotations

import time
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from demo_app import pen
from demo_app.history import Entry
from demo_app.settings import write_whole
from demo_app.strings import finding_name, finding_worth, translate

# A4 at 150 dots an inch.
_WIDTH, _HEIGHT, _MARGIN = 1240, 1754, 84
_INK, _MUTED, _PALE, _ACCENT = (21, 32, 43), (86, 100, 115), (226, 231, 238), (10, 108, 143)
FORMATS = (".pdf", ".png")


def sheets(entry: Entry, page: Image.Image, language: str) -> list[Image.Image]:
    """A4 sheets, RGB, 1240 x 1754 pixels: the first with the page, as many more as the words need."""
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
    return sheet.done()


def save(entry: Entry, page: Image.Image, target: Path, language: str) -> None:
    """Write `target`, a .pdf (all sheets) or .png (the sheets one below the other). Raises UserError."""
    drawn, file = sheets(entry, page, language), BytesIO()
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
    write_whole(target, file.getvalue())


def file_name(entry: Entry, suffix: str) -> str:
    """ecg-20261125-161500.pdf: sorts by time, and says nothing about a patient."""
    return f"ecg-{time.strftime('%Y%m%d-%H%M%S', time.localtime(entry.created))}{suffix}"


class _Sheets:
    """Draws from top to bottom and starts a new sheet when one is full."""

    def __init__(self, footer: str) -> None:
        self._sheets: list[Image.Image] = []
        self._footer = footer
        self._start()

    def _start(self) -> None:
        self._sheets.append(Image.new("RGB", (_WIDTH, _HEIGHT), "white"))
        self._draw = ImageDraw.Draw(self._sheets[-1])
        self._write(_MARGIN, _HEIGHT - 60, self._footer, _MUTED, 17)
        self._y = float(_MARGIN)

    def _room(self, height: float) -> None:
        if self._y + height > _HEIGHT - _MARGIN:
            self._start()

    def space(self, height: float) -> None:
        self._y += height

    def text(self, text: str, size: int, colour: pen.Colour) -> None:
        for line in _wrapped(text, size, _WIDTH - 2 * _MARGIN):
            self._room(1.4 * size)
            self._write(_MARGIN, self._y, line, colour, size)
            self._y += 1.4 * size

    def _write(self, x: float, y: float, line: str, colour: pen.Colour, size: int) -> None:
        pen.write(self._sheets[-1], (x, y), line, colour, size)

    def picture(self, page: Image.Image) -> None:
        scale = min((_WIDTH - 2 * _MARGIN) / page.width, 0.5 * _HEIGHT / page.height)
        small = page.resize((round(page.width * scale), round(page.height * scale)), Image.Resampling.LANCZOS)
        self._room(small.height)
        self._sheets[-1].paste(small, (_MARGIN, round(self._y)))
        self._y += small.height

    def bar(self, name: str, probability: float, likely: bool) -> None:
        self._room(32)
        left, right = _MARGIN + 520, _WIDTH - _MARGIN - 90
        self._write(_MARGIN, self._y, name, _INK if likely else _MUTED, 20)
        box = (left, self._y + 6, right, self._y + 20)
        self._draw.rectangle(box, _PALE)
        self._draw.rectangle((box[0], box[1], left + round((right - left) * probability), box[3]), _ACCENT)
        self._write(right + 20, self._y, f"{100 * probability:.0f} %", _INK, 20)
        self._y += 32

    def done(self) -> list[Image.Image]:
        return self._sheets


def _wrapped(text: str, size: int, width: float) -> list[str]:
    """Lines that fit; a word longer than a line is broken, so that nothing runs off the paper."""
    lines: list[str] = []
    space = pen.length(" ", size)
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0.0
        for word in (piece for whole in paragraph.split(" ") for piece in _broken(whole, size, width)):
            needed = pen.length(word, size)
            if line and used + space + needed > width:
                lines.append(line)
                line, used = word, needed
            else:
                line, used = (f"{line} {word}", used + space + needed) if line else (word, needed)
        lines.append(line)
    return lines


def _broken(word: str, size: int, width: float) -> list[str]:
    """The word in pieces of at most `width`: nearly always one."""
    widest = max((pen.length(c, size) for c in set(word)), default=0.0)
    if widest * len(word) <= width or pen.length(word, size) <= width:
        return [word]
    most = max(1, int(width / widest))
    return [word[i : i + most] for i in range(0, len(word), most)]
