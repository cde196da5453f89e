"""`pulse-demo`: open the app."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from demo_app.paths import built_in_bundle, data_folder
from demo_app.strings import languages
from edge_runtime.bundle import bundle_folder
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError

HOW_TO_GET_A_BUNDLE = (
    "no bundle that runs here is installed; make one with `make app`, or import one in the app under Models"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app; exit status 0 closed, 2 wrong use or no window possible, 130 interrupted."""
    logging.basicConfig(level=logging.WARNING, format="pulse-demo: %(message)s")
    for handler in logging.root.handlers:  # Kivy sets its logger's level itself
        handler.addFilter(lambda record: record.levelno >= logging.WARNING)
    return run("pulse-demo", lambda: _open(_parser().parse_args(argv)))


def _open(args: argparse.Namespace) -> int:
    """Open the window and stay until it is closed. Raises UserError."""
    data = Path(args.data) if args.data else data_folder()
    bundle = bundle_folder(args.bundle).resolve() if args.bundle else built_in_bundle()
    prepare_kivy(data, args.size)
    from demo_app.app import PulseDemo

    app = PulseDemo(data, bundle, language=args.language, theme=args.theme, picture=args.picture)
    if not any(bundle.runs for bundle in app.state.bundles):
        print(f"pulse-demo: {HOW_TO_GET_A_BUNDLE}", file=sys.stderr)
    app.run()
    return 0


def prepare_kivy(data: Path, size: tuple[int, int] | None) -> None:
    """Everything Kivy must be told before it is imported, so that it leaves argv, logging and ~/.kivy alone.

    Raises UserError when Kivy is missing, or no window can be opened.
    """
    try:
        (data / "kivy").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{data}: cannot be written to ({error.strerror}); give another --data") from None
    os.environ.update(
        KIVY_NO_ARGS="1",
        KIVY_NO_FILELOG="1",
        KIVY_NO_CONFIG="1",
        KIVY_NO_CONSOLELOG="1",
        KIVY_LOG_MODE="PYTHON",
        KIVY_HOME=str(data / "kivy"),
    )
    try:
        from kivy.config import Config
    except ImportError:
        raise UserError("the app needs Kivy, which is not installed; pip install 'pulse-edge[demo]'") from None
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        if "ANDROID_ARGUMENT" not in os.environ:
            raise UserError("there is no display; start it in a desktop session, or under xvfb-run")
    Config.set("kivy", "exit_on_escape", "0")  # Esc goes back; the app decides when that leaves it
    Config.set("input", "mouse", "mouse,disable_multitouch")
    # Edges are smoothed where they are drawn; multisampling would double the work of a machine without a graphics card.
    Config.set("graphics", "multisamples", "0")
    width, height = size or (1080, 720)
    Config.set("graphics", "width", str(width))
    Config.set("graphics", "height", str(height))
    Config.set("graphics", "minimum_width", "320")
    Config.set("graphics", "minimum_height", "320")
    from kivy.core.window import Window

    if Window is None:
        raise UserError(
            "no window can be opened here; the display offers no OpenGL (on Debian: apt-get install libgl1-mesa-dri)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-demo", description="The app: photograph an ECG, read what the model says, offline.")
    parser.add_argument("picture", metavar="PICTURE", nargs="?", help="open this picture at once")
    parser.add_argument("--bundle", metavar="DIR", help="bundle folder (default: build/pulse-nano-onnx)")
    parser.add_argument("--data", metavar="DIR", help="where history, settings and imported bundles are kept")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the window in pixels (default: 1080x720)")
    parser.add_argument("--language", choices=tuple(languages()), help="default: the settings', else the system's")
    parser.add_argument("--theme", choices=("light", "dark"), help="default: the settings', else the system's")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or min(int(width), int(height)) < 320:
        raise argparse.ArgumentTypeError(f"{text} is not WxH with at least 320x320, such as 360x640")
    return int(width), int(height)
