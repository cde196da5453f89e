"""Draw the pictures of the app anew: every screen, two sizes, light and dark; a few small ones for the README.

python scripts/screenshots.py ALL KEPT: PNGs of all screens go to the folder ALL, the README's two to KEPT. The app that
is drawn is the real one with the real bundle. Without a display an X server in memory is started (xvfb).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

SIZES = ("360x640", "1280x800")
THEMES = ("light", "dark")
PHOTO, OTHER = "d-bundle-branch-block-photo", "a-atrial-fibrillation"
_WAIT = 60


def main(everything: str, kept: str) -> None:
    """One process for each look, since Kivy has one window a process."""
    target = Path(everything).resolve()
    target.mkdir(parents=True, exist_ok=True)
    server = None if os.environ.get("DISPLAY") else _server()
    try:
        for size in SIZES:
            for theme in THEMES:
                for language in ("en", "de") if theme == "light" else ("en",):
                    subprocess.run([sys.executable, __file__, "one", str(target), size, theme, language], check=True)
    finally:
        if server is not None:
            server.terminate()
    _keep(target, Path(kept))


def _server() -> subprocess.Popen[bytes]:
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as said:
        os.environ["DISPLAY"] = f":{said.readline().strip()}"
    return server


def one(target: str, size: str, theme: str, language: str) -> None:
    """Walk through the app once and save each screen."""
    from demo_app.cli import prepare_kivy
    from demo_app.paths import built_in_bundle

    with tempfile.TemporaryDirectory() as folder:
        width, height = size.split("x")
        prepare_kivy(Path(folder), (int(width), int(height)))
        from kivy.clock import Clock
        from kivy.core.window import Window

        from demo_app.app import PulseDemo

        app = PulseDemo(Path(folder), built_in_bundle(), language=language, theme=theme, picture=None)
        steps = _walk(app)
        waiting: list[Callable[[], object]] = []
        since = [time.monotonic()]

        def on_frame(_: float) -> None:
            if waiting and not waiting[0]():
                if time.monotonic() - since[0] > _WAIT:
                    raise TimeoutError("the app did not come to the next screen")
                return
            waiting.clear()
            since[0] = time.monotonic()
            step = next(steps, None)
            if step is None:
                app.stop()
            elif isinstance(step, str):
                raw = Path(Window.screenshot(str(Path(folder) / "shot.png")))
                suffix = "" if language == "en" else f"-{language}"
                raw.replace(Path(target) / f"{step}-{size}-{theme}{suffix}.png")
            else:
                waiting.append(step)

        Clock.schedule_once(lambda _: Clock.schedule_interval(on_frame, 0.05), 0.5)
        app.run()


def _walk(app) -> Iterator[str | Callable[[], object]]:  # type: ignore[no-untyped-def]
    """Yields a condition to wait for, or the name of a screen to save."""
    from demo_app.paths import EXAMPLES
    from demo_app.ui.look import t
    from demo_app.ui.settings_screen import _encrypt

    def still(seconds: float = 0.5) -> Callable[[], object]:
        end = time.monotonic() + seconds
        return lambda: time.monotonic() > end

    def example(name: str) -> None:
        app.open_picture(EXAMPLES / f"{name}.jpg", t(f"example.{name}"))

    yield lambda: app.state.model.stage == "ready"
    yield still()
    yield "first-run"
    app._dialog.dismiss()
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
    app._dialog.dismiss()
    app.go_place("home")
    app.state.folder = str(EXAMPLES)
    app.choose_picture()
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
    names = ("home-360x640-light", "crop-360x640-light", "answer-360x640-light", "follow-up-360x640-dark")
    phones = [Image.open(source / f"{name}.png").convert("RGB") for name in names]
    gap = 20
    row = Image.new("RGB", (len(phones) * (360 + gap) - gap, 640), "white")
    for index, phone in enumerate(phones):
        row.paste(phone, (index * (360 + gap), 0))
    wide = Image.open(source / "answer-1280x800-light.png").convert("RGB")
    for name, picture in (("phones", row), ("wide", wide)):
        few = picture.quantize(192, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(target / f"{name}.png", optimize=True)


if __name__ == "__main__":
    (one if sys.argv[1] == "one" else main)(*sys.argv[2 if sys.argv[1] == "one" else 1 :])
