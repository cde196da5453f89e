"""Starts the real app and tells a test what is on its screen; the test's own input comes from xdotool alone.

Run as a program: python watched.py SOCKET [pulse-demo arguments]. Each line that a client sends is answered with one
line of JSON: "widgets" lists what is visible, with window coordinates from the top left; "state" some of the app's
state; "gaps" the frame gaps since it was last asked, "answering" those while something was answered; "memory" bytes;
"shot PATH" saves a picture of the window; "pause" and "resume" are what a phone sends when another app comes to the
front, and when this one is back.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time

STARTED = time.perf_counter()


def main() -> int:
    """Serve in a thread, run the app in this one."""
    import demo_app.cli as cli

    slow_down(float(os.environ.get("WATCHED_SLOW_S", "0")))
    if os.environ.get("WATCHED_NO_BUNDLE"):
        cli.built_in_bundle = lambda: None
    prepare = cli.prepare_kivy

    def prepared(*args):
        prepare(*args)
        serve(sys.argv[1])

    cli.prepare_kivy = prepared
    return cli.main(sys.argv[2:])


def slow_down(seconds):
    """Each step of the decoder takes so much longer, as it does for a model a thousand times as large."""
    from demo_app.reader import Interruptible

    decode = Interruptible.decode

    def slowly(self, embeds, cache):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        return decode(self, embeds, cache)

    Interruptible.decode = slowly


def serve(path):
    from kivy.app import App
    from kivy.clock import Clock

    from demo_app.ui.frames import FrameGaps

    class Gaps(FrameGaps):
        """Remembers whether something was being answered meanwhile."""

        def __init__(self):
            super().__init__()
            self.seen, self.was_busy = [], False

        def _tick(self, dt):
            super()._tick(dt)
            case = App.get_running_app().state.case
            busy = case is not None and case.busy
            if self.gaps_ms:
                self.seen.append((self.gaps_ms[-1], busy or self.was_busy))
            self.was_busy = busy

    seen = {"first_frame_s": None, "ready_s": None}
    gaps = Gaps()

    def first(_):
        seen["first_frame_s"] = time.perf_counter() - STARTED
        gaps.start()
        Clock.schedule_interval(ready, 0)
        if os.environ.get("WATCHED_RESTLESS"):
            Clock.schedule_interval(lambda _: App.get_running_app().show(), 0)

    def ready(_):
        app = App.get_running_app()
        if app is not None and app.state.model.stage == "ready" and seen["ready_s"] is None:
            seen["ready_s"] = time.perf_counter() - STARTED
        return seen["ready_s"] is None

    def once_shown(*_):
        Window.unbind(on_flip=once_shown)
        Clock.schedule_once(first, 0)

    from kivy.core.window import Window

    Window.bind(on_flip=once_shown)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def answer(question):
        done, said = threading.Event(), []

        def on_window_thread(_):
            try:
                said.append(reply(question, gaps, seen))
            except Exception as error:
                said.append({"error": repr(error)})
            done.set()

        Clock.schedule_once(on_window_thread, 0)
        done.wait(20)
        return said[0] if said else {"error": "the window does not answer"}

    def loop():
        while True:
            client, _ = listener.accept()
            with client, client.makefile("rw") as lines:
                for line in lines:
                    lines.write(json.dumps(answer(line.strip())) + "\n")
                    lines.flush()

    threading.Thread(target=loop, daemon=True).start()


def reply(question, gaps, seen):
    from kivy.app import App
    from kivy.core.window import Window

    app = App.get_running_app()
    if question == "widgets":
        return visible(Window)
    if question == "gaps":
        told = gaps.gaps_ms
        gaps.gaps_ms = []
        return told
    if question in ("pause", "resume"):  # a desktop sends neither
        return app.dispatch(f"on_{question}")
    if question == "answering":
        told = [gap for gap, busy in gaps.seen if busy]
        gaps.seen = []
        return told
    if question == "memory":
        import gc

        from demo_app.benchmark import memory

        gc.collect()
        return memory()
    if question.startswith("shot "):
        from PIL import Image

        raw = Window.screenshot(question[5:])
        return raw and Image.open(raw).size
    case = app.state.case
    return {
        "screen": app.state.screen,
        "model": app.state.model.stage,
        "stage": case.stage if case else None,
        "turns": [[t.question, t.answer] for t in case.turns] if case else [],
        "findings": len(case.findings) if case else 0,
        "corners": case.corners if case else None,
        "picture": case.picture.size if case else None,
        "title": case.title if case else None,
        "opening": app.state.opening,
        "partial": case.partial if case else "",
        "error": app.state.error,
        "dialog": app.dialog is not None,
        "zoom": app.body.page.zoom if hasattr(app.body, "page") else None,
        "lead": app.body.page.lead if hasattr(app.body, "page") else None,
        "traces": [[trace.lead, trace.box] for trace in app.body.page.traces] if hasattr(app.body, "page") else [],
        **seen,
    }


def broken_words(widget):
    """Words of a label that are wider than it: Kivy breaks them anywhere."""
    if type(widget).__name__ not in ("Text", "_Title"):
        return []
    from kivy.core.text import Label

    core = Label(font_size=widget.font_size, bold=widget.bold)
    return [word for word in widget.text.split() if word.isalpha() and core.get_extents(word)[0] > widget.width + 1]


def visible(window):
    """Every widget with a name or a text that can be seen, topmost last: [name, text, x, y, width, height, focus]."""
    found = []

    def visit(widget, clip, layer):
        from kivy.uix.scrollview import ScrollView
        from kivy.uix.stencilview import StencilView

        left, bottom = widget.to_window(*widget.pos)
        right, top = left + widget.width, bottom + widget.height
        box = (max(left, clip[0]), max(bottom, clip[1]), min(right, clip[2]), min(top, clip[3]))
        shown = box[2] - box[0] > 1 and box[3] - box[1] > 1
        name, text = getattr(widget, "name", "") or "", getattr(widget, "text", "") or ""
        says = getattr(widget, "says", "") or ""
        if shown and (name or text):
            x, y = box[0], window.height - box[3]
            found.append(
                {
                    "name": name, "text": text or says, "box": [x, y, box[2] - box[0], box[3] - box[1]],
                    "whole": right - left - 1 < box[2] - box[0] and top - bottom - 1 < box[3] - box[1],
                    "class": type(widget).__name__, "layer": layer, "focus": bool(getattr(widget, "focus", False)),
                    "disabled": bool(getattr(widget, "disabled", False)),
                    "broken": broken_words(widget),
                    "texture": list(getattr(widget, "texture_size", ()) or ()), "size": list(widget.size),
                }
            )  # fmt: skip
        inner = box if isinstance(widget, (ScrollView, StencilView)) else clip
        for child in reversed(widget.children):
            if not isinstance(widget, (ScrollView, StencilView)) or shown:
                visit(child, inner, layer)

    for layer, child in enumerate(reversed(window.children)):
        visit(child, (0, 0, window.width, window.height), layer)
    return found


if __name__ == "__main__":
    sys.exit(main())
