"""How long the app's window stands still while a model answers: the gaps between its frames, in two sizes.

python scripts/frame_gaps.py [ANALYSES]: reads so many examples (20) and asks each a follow-up question. "drawing only"
is the same screen drawn again and again with no model at work: what the machine's drawing takes by itself.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from walk import display, still, walk

SIZES = ("360x640", "1280x800")
_DRAWN = 200


def main(analyses: str = "20") -> None:
    """One process for each size, since Kivy has one window a process."""
    print(
        f"{'gaps between frames, ms':32}{'frames':>8}{'median':>8}{'90 %':>8}{'99 %':>8}{'longest':>9}{'over 100':>10}"
    )
    with display():
        for size in SIZES:
            done = subprocess.run(
                [sys.executable, __file__, "one", size, analyses], check=True, capture_output=True, text=True
            )
            for name, gaps in json.loads(done.stdout.splitlines()[-1]).items():
                print(f"{size:10}{name:22}{_row(sorted(gaps))}", flush=True)


def _row(gaps: list[float]) -> str:
    at = [gaps[min(len(gaps) - 1, int(share * len(gaps)))] for share in (0.9, 0.99)]
    figures = "".join(f"{value:8.0f}" for value in (statistics.median(gaps), *at))
    return f"{len(gaps):8}{figures}{gaps[-1]:9.0f}{sum(gap > 100 for gap in gaps):10}"


def one(size: str, analyses: str) -> None:
    """Print {"drawing only": [...], "model at work": [...]} as JSON."""
    gaps: dict[str, list[float]] = {"drawing only": [], "model at work": []}
    last, drawing, was_busy, apps = [time.perf_counter()], [False], [False], []

    def on_frame() -> None:
        now = time.perf_counter()
        case = apps[0].state.case if apps else None
        busy = case is not None and case.busy
        if drawing[0]:
            from kivy.core.window import Window

            Window.canvas.ask_update()
            gaps["drawing only"].append(1e3 * (now - last[0]))
        elif busy or was_busy[0]:  # the gap in which the answer ends belongs to it
            gaps["model at work"].append(1e3 * (now - last[0]))
        last[0], was_busy[0] = now, busy

    def steps(app, _):  # type: ignore[no-untyped-def]
        from demo_app.paths import EXAMPLES

        apps.append(app)
        app.dialog.dismiss()
        examples = sorted(EXAMPLES.glob("*.jpg"))
        for index in range(int(analyses)):
            app.open_picture(examples[index % len(examples)], "page")
            yield lambda: app.state.screen == "crop"
            app.read(anyway=True)
            yield lambda: app.state.case.entry is not None and not app.state.case.busy
            app.follow_up("What is the rhythm?")
            yield lambda: len(app.state.case.turns) == 2 and not app.state.case.busy
            yield still()
        drawing[0] = True
        yield lambda: len(gaps["drawing only"]) >= _DRAWN

    walk(size, "light", "en", steps, on_frame)
    del gaps["drawing only"][0]  # the wait before it began
    print(json.dumps(gaps))


if __name__ == "__main__":
    (one if sys.argv[1:2] == ["one"] else main)(*sys.argv[2 if sys.argv[1:2] == ["one"] else 1 :])
