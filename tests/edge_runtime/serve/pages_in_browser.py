"""What the tests of the page give it, and what they hold of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[3]
PHOTO = ROOT / "demo_app" / "examples" / "d-bundle-branch-block-photo.jpg"
TEXTS = {
    code: json.loads((ROOT / f"edge_runtime/serve/web/languages/{code}.json").read_text(encoding="utf-8"))["texts"]
    for code in ("en", "de")
}
PHONE = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


def give(page, picture, kind="image/jpeg"):
    page.set_input_files("#file", {"name": "ecg", "mimeType": kind, "buffer": picture})


def done(page):
    page.wait_for_selector("#result", state="visible")
    page.wait_for_selector("body:not(.busy)")


def noise(side, kind="JPEG"):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind, quality=95)
    return buffer.getvalue()


def looks_well(page, width):
    """Nothing is wider than the screen, and every control is large enough for a finger."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for control in page.query_selector_all("button, .button, select, input:not(.unseen)"):
        if control.is_visible():
            assert control.bounding_box()["height"] >= 44


def stream(*pieces):
    """The body of a streamed answer: words, and the field "pulse" of the last piece."""
    *words, extension = pieces
    said = [{"model": "m", "choices": [{"delta": {"content": word}}]} for word in words]
    last = {"model": "m", "choices": [{"delta": {}}], "pulse": extension}
    return "".join(f"data: {json.dumps(piece)}\n\n" for piece in [*said, last]) + "data: [DONE]\n\n"


EXTENSION = {"findings": [], "is_ecg": 0.9, "refused": False, "whole": None, "left_out": [], "target": "onnx"}
