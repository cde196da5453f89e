"""Draw the README's picture: a page and what a bundle really answered to it.

python scripts/answer_picture.py BUNDLE IMAGE OUT.png
"""

from __future__ import annotations

import sys
import textwrap

from PIL import Image, ImageDraw, ImageFont

from edge_runtime.session import Session

WIDTH, MARGIN, INK, PALE, BAR = 1200, 28, (25, 30, 40), (226, 231, 238), (38, 110, 180)


def main(bundle: str, image: str, out: str) -> None:
    """Ask the bundle its default question about the image and save the picture."""
    answer = Session.open(bundle).look(image).ask(temperature=0).finish()
    page = Image.open(image).convert("RGB")
    page = page.resize((640, round(640 * page.height / page.width)), Image.Resampling.LANCZOS)
    body, small = ImageFont.load_default(21), ImageFont.load_default(16)
    text = textwrap.wrap(answer.text, 43)
    found = sorted(answer.findings, key=lambda f: -f.probability)[:7]
    x, y = MARGIN * 2 + page.width, MARGIN
    height = max(page.height, 28 * len(text) + 16 + 27 * len(found) + 24) + 2 * MARGIN
    canvas = Image.new("RGB", (WIDTH, height), (255, 255, 255))
    canvas.paste(page, (MARGIN, MARGIN))
    draw = ImageDraw.Draw(canvas)
    for line in text:
        draw.text((x, y), line, INK, body)
        y += 28
    y += 16
    for finding in found:
        draw.text((x, y), finding.name, INK, small)
        draw.rectangle((x + 275, y + 3, x + 405, y + 17), PALE)
        draw.rectangle((x + 275, y + 3, x + 275 + round(130 * finding.probability), y + 17), BAR)
        draw.text((x + 415, y), f"{finding.probability:.2f}", INK, small)
        y += 27
    draw.text((x, height - MARGIN - 16), "Research use only. Not a medical device.", (110, 116, 126), small)
    canvas.save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
