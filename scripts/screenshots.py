"""Draw the pictures of the app anew: every screen, two sizes, light and dark; a few small ones for the README.

python scripts/screenshots.py ALL KEPT: PNGs of all screens go to the folder ALL, the README's two to KEPT. The app that
is drawn is the real one with the real bundle. Without a display an X server in memory is started (xvfb).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from walk import Step, display, still, walk

SIZES = ("360x640", "1280x800")
THEMES = ("light", "dark")
PHOTO, OTHER = "d-bundle-branch-block-photo", "a-atrial-fibrillation"


def main(everything: str, kept: str) -> None:
    """One process for each look, since Kivy has one window a process."""
    target = Path(everything).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with display():
        for size in SIZES:
            for theme in THEMES:
                for language in ("en", "de") if theme == "light" else ("en",):
                    subprocess.run([sys.executable, __file__, "one", str(target), size, theme, language], check=True)
    _keep(target, Path(kept))


def one(target: str, size: str, theme: str, language: str) -> None:
    """Walk through the app once and save each screen."""

    def steps(app, folder: Path) -> Iterator[Step]:  # type: ignore[no-untyped-def]
        from kivy.core.window import Window

        suffix = "" if language == "en" else f"-{language}"
        for step in _walk(app):
            if not isinstance(step, str):
                yield step
                continue
            raw = Path(Window.screenshot(str(folder / "shot.png")))
            raw.replace(Path(target) / f"{step}-{size}-{theme}{suffix}.png")

    walk(size, theme, language, steps)


def _walk(app) -> Iterator[str | Step]:  # type: ignore[no-untyped-def]
    """Yields a condition to wait for, or the name of a screen to save."""
    from demo_app.paths import EXAMPLES
    from demo_app.ui.browse import choose_picture
    from demo_app.ui.settings_screen import _encrypt
    from demo_app.ui.style import t

    def example(name: str) -> None:
        app.open_picture(EXAMPLES / f"{name}.jpg", t(f"example.{name}"))

    yield still()
    yield "first-run"
    app.dialog.dismiss()
    app.change(accepted=True)
    yield still()
    yield "home"
    for name in (OTHER, PHOTO):
        example(name)
        yield lambda: app.state.screen == "crop"
        yield still()
        if name == PHOTO:
            yield "crop"
        app.read()
        yield lambda: app.state.case.entry is not None and not app.state.case.busy
    yield still()
    yield "answer"
    app.body.page.jump(7)
    yield still()
    yield "lead"
    app.body.show("measured")
    yield still()
    yield "measured"
    app.body.show("similar")
    yield still()
    yield "similar"
    app.body.page.fit()
    app.follow_up("What is the rhythm?")
    yield lambda: len(app.state.case.turns) == 2 and not app.state.case.busy
    yield still()
    yield "follow-up"
    app.go_place("history")
    yield lambda: app.state.entries
    yield still()
    yield "history"
    app.show_entry(app.state.entries[0])
    yield lambda: app.state.shown_page
    yield still()
    yield "entry"
    app.go_place("models")
    yield still()
    yield "models"
    app.go("bench")
    app.benchmark()
    yield lambda: app.state.bench.result
    yield still()
    yield "benchmark"
    app.go_place("settings")
    yield still()
    yield "settings"
    _encrypt(app)
    yield still()
    yield "encrypt"
    app.dialog.dismiss()
    app.go_place("home")
    app.state.folder = str(EXAMPLES)
    choose_picture(app)
    yield still()
    yield "browse"
    app.go_back()
    app.open_picture(EXAMPLES.parent / "strings.py", "strings.py")
    yield lambda: app.state.error
    yield still()
    yield "error"


def _keep(source: Path, target: Path) -> None:
    """Four phones in a row, and one wide window: few colours, so that they stay small."""
    target.mkdir(parents=True, exist_ok=True)
    names = ("crop-360x640-light", "answer-360x640-light", "lead-360x640-light", "measured-360x640-dark")
    phones = [Image.open(source / f"{name}.png").convert("RGB") for name in names]
    gap = 20
    row = Image.new("RGB", (len(phones) * (360 + gap) - gap, 640), "white")
    for index, phone in enumerate(phones):
        row.paste(phone, (index * (360 + gap), 0))
    wide = Image.open(source / "answer-1280x800-light.png").convert("RGB")
    for name, picture in (("phones", row), ("wide", wide)):
        few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(target / f"{name}.png", optimize=True)


if __name__ == "__main__":
    (one if sys.argv[1] == "one" else main)(*sys.argv[2 if sys.argv[1] == "one" else 1 :])
