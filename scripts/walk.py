"""Walk through the app in its own window, step by step: what scripts/screenshots.py and scripts/frame_gaps.py share."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Step = Callable[[], object]
_WAIT = 60


@contextmanager
def display() -> Iterator[None]:
    """A display to draw on: the present one, or an X server in memory (xvfb)."""
    if os.environ.get("DISPLAY"):
        yield
        return
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as said:
        os.environ["DISPLAY"] = f":{said.readline().strip()}"
    try:
        yield
    finally:
        server.terminate()
        del os.environ["DISPLAY"]


def walk(size: str, theme: str, language: str, steps, on_frame: Step = lambda: None) -> None:  # type: ignore[no-untyped-def]
    """Open the app with new data and take one step after the other; Kivy has one window a process.

    steps(app, folder): a generator of conditions, each waited for before it goes on. on_frame: called on every frame.
    """
    from demo_app.cli import prepare_kivy
    from demo_app.paths import built_in_bundle

    with tempfile.TemporaryDirectory() as folder:
        width, height = size.split("x")
        prepare_kivy(Path(folder), (int(width), int(height)))
        from kivy.clock import Clock

        from demo_app.app import PulseDemo

        app = PulseDemo(Path(folder), built_in_bundle(), language=language, theme=theme, picture=None)
        way = steps(app, Path(folder))
        waiting: list[Step] = [lambda: app.state.model.stage == "ready"]
        since = [time.monotonic()]

        def frame(_: float) -> None:
            on_frame()
            if waiting and not waiting[0]():
                if time.monotonic() - since[0] > _WAIT:
                    raise TimeoutError("the app did not come to the next screen")
                return
            since[0], waiting[:] = time.monotonic(), []
            if (step := next(way, None)) is None:
                app.stop()
            else:
                waiting.append(step)

        Clock.schedule_interval(frame, 0)
        app.run()


def still(seconds: float = 0.5) -> Step:
    """A condition: so much time has gone by."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
