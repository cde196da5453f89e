"""No clipped or overlapping text, nothing too small for a finger: every screen, narrow and wide, large type, German."""

from __future__ import annotations

import itertools
import json

import pytest


def faults(widgets, touch=48):
    """What a careful eye would complain about."""
    found = []
    texts = [w for w in widgets if w["class"] in ("Text", "_Title") and w["text"].strip()]
    for w in texts:
        if w["texture"][0] > w["size"][0] + 1 or w["texture"][1] > w["size"][1] + 1:
            found.append(f"clipped: {w['text']!r} {w['texture']} in {w['size']}")
        found += [f"broken: {word!r} in {w['text']!r}" for word in w["broken"]]
    for one, other in itertools.combinations([w for w in texts if w["whole"]], 2):
        if one["layer"] != other["layer"]:
            continue  # a dialog lies over its screen
        (ax, ay, aw, ah), (bx, by, bw, bh) = one["box"], other["box"]
        if min(ax + aw, bx + bw) - max(ax, bx) > 2 and min(ay + ah, by + bh) - max(ay, by) > 2:
            found.append(f"overlap: {one['text']!r} and {other['text']!r}")
    for w in widgets:
        if w["class"] in ("PushButton", "Field") and min(w["size"]) < touch - 0.5:
            found.append(f"small: {w['name']} {w['size']}")
    return found


@pytest.mark.parametrize(
    ("size", "language", "text", "system"),
    [("360x640", "de", 1.0, "1.5"), ("360x640", "en", 1.0, "1"), ("1280x800", "de", 1.45, "1")],
)
def test_every_screen_is_laid_out_without_fault(open_phone, tmp_path, size, language, text, system):
    (tmp_path / "data").mkdir()
    chosen = {"accepted": True, "theme": "light", "language": language, "text_size": text}
    (tmp_path / "data" / "settings.json").write_text(json.dumps(chosen))
    phone = open_phone(size, environ={"KIVY_METRICS_FONTSCALE": system})
    wrong = {}

    def look(name):
        # A screen is laid out over a few frames.
        phone.wait(lambda: phone.widgets() == phone.widgets())
        if found := faults(phone.widgets()):
            wrong[name] = found

    look("home")
    phone.tap("example.b-normal")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    look("crop")
    phone.tap("read")
    phone.wait(lambda: phone.state()["turns"] and phone.state()["findings"] == 12)
    phone.idle()
    look("result")
    for _ in range(4):
        phone.scroll()
        look("result, lower")
    phone.tap("share")
    look("share")
    phone.tap("cancel-share")
    phone.tap("nav.history")
    phone.wait(lambda: phone.find("entry"))
    look("history")
    phone.tap("nav.models")
    look("models")
    phone.tap("bench")
    phone.tap("bench.start")
    phone.wait(lambda: phone.find("figures"))
    look("benchmark")
    phone.tap("nav.settings")
    for _ in range(6):
        look("settings")
        phone.scroll()
    assert wrong == {}
