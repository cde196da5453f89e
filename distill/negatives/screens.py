"""What a display shows, and what a printer prints from it: pages of text, programs, lists, dashboards, slides."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from distill.negatives.colours import colour

_SYLLABLES = (
    "a",
    "be",
    "con",
    "de",
    "er",
    "for",
    "in",
    "ly",
    "men",
    "no",
    "or",
    "pa",
    "re",
    "st",
    "ti",
    "un",
    "wo",
    "y",
)


def words(rng: np.random.Generator, letters: int) -> str:
    """So many letters of words that nobody has said."""
    text = ""
    while len(text) < letters:
        text += "".join(_SYLLABLES[int(k)] for k in rng.integers(len(_SYLLABLES), size=int(rng.integers(1, 5)))) + " "
    return text[:letters]


class _Display:
    """A picture that is written on from top to bottom."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        dark = rng.random() < 0.25
        self.rng, self.width, self.height = rng, width, height
        self.paper = colour(rng, 0, 50) if dark else colour(rng, 225)
        self.ink = colour(rng, 170) if dark else colour(rng, 0, 90)
        self.image = Image.new("RGB", (width, height), self.paper)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, x: float, y: float, width: float, size: float, tint: tuple[int, int, int] | None = None) -> None:
        letters = max(1, int(width / (0.52 * size)))
        self.draw.text((x, y), words(self.rng, letters), tint or self.ink, ImageFont.load_default(size))

    def paragraph(self, x: float, y: float, width: float, lines: int, size: float) -> float:
        """Where the next one begins."""
        for k in range(lines):
            last = self.rng.uniform(0.2, 0.9) if k == lines - 1 else self.rng.uniform(0.9, 1)
            self.line(x, y + 1.4 * size * k, width * last, size)
        return y + 1.4 * size * lines + size

    def done(self) -> np.ndarray:
        return np.array(self.image)


def article(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A page of a book, a paper or a site: headings and columns of text, with a bar at the side or without."""
    page, size = _Display(rng, width, height), height / rng.uniform(28, 75)
    left, columns = (0.22 if rng.random() < 0.4 else 0.06) * width, int(rng.integers(1, 4))
    if left > 0.1 * width:
        page.draw.rectangle((0, 0, left - 0.03 * width, height), tuple(int(0.93 * v) for v in page.paper))
        for y in np.arange(0.05 * height, height, 2.2 * size):
            page.line(0.02 * width, y, left * rng.uniform(0.3, 0.7), size)
    page.line(left, 0.03 * height, 0.5 * width, 2.2 * size)
    wide = (0.96 * width - left) / columns
    for column in range(columns):
        y = 0.06 * height + 2.5 * size
        while y < height:
            if rng.random() < 0.15:
                page.line(left + column * wide, y, 0.5 * wide, 1.4 * size)
                y += 2.2 * size
            y = page.paragraph(left + column * wide, y, 0.9 * wide, int(rng.integers(2, 9)), size)
    return page.done()


def program(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Source code in an editor, a terminal."""
    page, size, indent = _Display(rng, width, height), height / rng.uniform(24, 60), 0
    tints = [colour(rng, 90, 256) if sum(page.paper) < 300 else colour(rng, 0, 170) for _ in range(4)]
    for y in np.arange(size, height, 1.35 * size):
        indent = int(np.clip(indent + rng.integers(-1, 2), 0, 5))
        x = 2 * size * (1 + indent)
        for _ in range(int(rng.integers(0, 5))):
            long = width * rng.uniform(0.03, 0.18)
            page.line(x, y, long, size, tints[int(rng.integers(4))])
            x += long + size
    return page.done()


def dashboard(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Cards with numbers, small lines and bars."""
    page = _Display(rng, width, height)
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    for row in range(rows):
        for column in range(columns):
            left, top = (column + 0.05) * width / columns, (row + 0.06) * height / rows
            right, base = (column + 0.95) * width / columns, (row + 0.94) * height / rows
            page.draw.rounded_rectangle((left, top, right, base), 6, tuple(int(0.95 * v) for v in page.paper), page.ink)
            size = (base - top) / rng.uniform(5, 10)
            page.line(left + size / 2, top + size / 3, 0.5 * (right - left), size)
            tint, n = colour(rng, 40, 220), int(rng.integers(4, 60))
            xs = np.linspace(left + 5, right - 5, n)
            ys = base - (base - top) * (0.05 + 0.5 * rng.random(n) ** rng.uniform(0.5, 2))
            if rng.random() < 0.5:
                page.draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), tint, 2)
            else:
                for x, y in zip(xs, ys, strict=True):
                    page.draw.rectangle((x, y, x + 0.6 * (right - left) / n, base), tint)
    return page.done()


def slide(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A title, some points, boxes with arrows: slides, posters, diagrams."""
    page = _Display(rng, width, height)
    page.line(0.08 * width, 0.06 * height, 0.7 * width, 0.09 * height)
    for y in np.arange(0.25, 0.9, rng.uniform(0.09, 0.16)):
        page.line(0.1 * width, y * height, width * rng.uniform(0.2, 0.6), 0.05 * height)
    for _ in range(int(rng.integers(0, 7))):
        x, y = rng.uniform(0.3, 0.8) * width, rng.uniform(0.3, 0.8) * height
        box = (x, y, x + rng.uniform(0.08, 0.2) * width, y + rng.uniform(0.06, 0.2) * height)
        page.draw.line((x, y, rng.uniform(0, width), rng.uniform(0, height)), page.ink, 2)
        page.draw.rounded_rectangle(box, 5, colour(rng, 120), page.ink)
        page.line(x + 4, y + 4, 0.08 * width, 0.03 * height)
    return page.done()


KINDS = (article, program, dashboard, slide)
