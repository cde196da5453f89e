"""A screen, a window and two hands: the app under Xvfb, driven by xdotool's real X events."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = ("Xvfb", "xdotool")
PHOTO, NORMAL = "d-bundle-branch-block-photo", "b-normal"


def missing_programs():
    """What of Xvfb and xdotool is not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Screen:
    """An X server of its own, on the first free display."""

    def __init__(self, width=1300, height=820):
        reader, writer = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
            pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writer)
        with os.fdopen(reader) as said:
            number = said.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        self.display = f":{number}"

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Phone:
    """The app in a window of `size`, with its data in `data`."""

    def __init__(self, screen, data, size="360x640", *arguments, accepted=True, environ=None):
        self.screen, self.data = screen, Path(data)
        self.data.mkdir(parents=True, exist_ok=True)
        if accepted and not (self.data / "settings.json").exists():
            (self.data / "settings.json").write_text('{"accepted": true, "theme": "light", "language": "en"}')
        self.socket = self.data / "eyes"
        self.socket.unlink(missing_ok=True)
        env = {k: v for k, v in os.environ.items() if k not in ("WAYLAND_DISPLAY", "LC_ALL", "LC_MESSAGES", "LANG")}
        env |= {"DISPLAY": screen.display, "PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8", **(environ or {})}
        self.log = open(self.data / "log.txt", "ab")  # noqa: SIM115  # for as long as the app runs
        command = [sys.executable, str(Path(__file__).with_name("watched.py")), str(self.socket)]
        command += ["--data", str(self.data), "--size", size, *map(str, arguments)]
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        self.lines = self._connect()
        # Without a window manager nobody gives the window the keyboard.
        self.window = self.xdo("search", "--sync", "--pid", str(self.process.pid)).split()[-1]
        self.xdo("windowfocus", self.window)
        self.wait(lambda: self.state()["first_frame_s"] is not None)

    def _connect(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                client = socket.socket(socket.AF_UNIX)
                client.connect(str(self.socket))
                return client.makefile("rw")
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the app did not start:\n{(self.data / 'log.txt').read_text()}")

    def ask(self, question):
        self.lines.write(question + "\n")
        self.lines.flush()
        line = self.lines.readline()
        if not line:
            raise RuntimeError(f"the app is gone:\n{(self.data / 'log.txt').read_text()}")
        return json.loads(line)

    def state(self):
        return self.ask("state")

    def widgets(self):
        return self.ask("widgets")

    def find(self, name):
        """The topmost visible widget called so, None if there is none."""
        return next((w for w in reversed(self.widgets()) if w["name"] == name), None)

    def texts(self):
        return [w["text"] for w in self.widgets() if w["text"]]

    def wait(self, condition, seconds=60):
        """Until condition() is true; its value."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"still waiting; {self.state()}; {self.texts()}")
            time.sleep(0.05)
        return value

    def xdo(self, *words):
        env = {**os.environ, "DISPLAY": self.screen.display}
        return subprocess.run(
            ["xdotool", *words], env=env, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def point(self, x, y):
        self.xdo("mousemove", "--window", self.window, str(round(x)), str(round(y)))

    def click(self, x, y):
        self.point(x, y)
        time.sleep(0.05)
        self.xdo("mousedown", "1")
        time.sleep(0.05)
        self.xdo("mouseup", "1")
        time.sleep(0.1)

    def tap(self, name, seconds=20):
        """Touch the middle of a widget once it lies still, scrolling to it if need be.

        Still is what three looks find in the same place: what a worker brings, such as a list of bundles, moves the
        rest of a screen, and on a busy machine it comes between two looks and the touch.
        """
        end, before, looks = time.monotonic() + seconds, None, 0
        while True:
            widget = self.find(name)
            ready = widget is not None and widget["whole"] and not widget["disabled"]
            looks = 0 if not ready else looks + 1 if widget == before else 1
            before = widget
            if looks == 3:
                break
            if time.monotonic() > end:
                raise AssertionError(f"no {name} on the screen; {self.state()}; {[w['name'] for w in self.widgets()]}")
            if widget is None or not widget["whole"]:
                self.scroll()
            time.sleep(0.1)
        x, y, width, height = widget["box"]
        self.click(x + width / 2, y + height / 2)

    def reads(self, text, seconds=20):
        """Scroll until the text is on the screen."""
        end = time.monotonic() + seconds
        while text not in self.texts():
            if time.monotonic() > end:
                raise AssertionError(f"no {text!r} on the screen: {self.texts()}")
            self.scroll()
            time.sleep(0.1)

    def scroll(self):
        """Some notches of the wheel over the screen's lower part: down, and from time to time all the way up."""
        size = dict(line.split("=") for line in self.xdo("getwindowgeometry", "--shell", self.window).split())
        self.turns = getattr(self, "turns", 0) + 1
        self.point(int(size["WIDTH"]) * 0.6, int(size["HEIGHT"]) * 0.6)
        self.xdo("click", "--repeat", "3", "5" if self.turns % 12 < 9 else "4")

    def drag(self, start, end, steps=12):
        self.point(*start)
        time.sleep(0.05)
        self.xdo("mousedown", "1")
        for i in range(1, steps + 1):
            x, y = (start[j] + (end[j] - start[j]) * i / steps for j in (0, 1))
            self.point(x, y)
            time.sleep(0.02)
        self.xdo("mouseup", "1")
        time.sleep(0.1)

    def type(self, text):
        self.xdo("type", "--delay", "25", text)

    def key(self, *names):
        for name in names:
            self.xdo("key", name)
            time.sleep(0.05)

    def idle(self, seconds=60):
        """Wait until nothing is being answered."""
        return self.wait(lambda: (s := self.state())["stage"] in (None, "idle") and s, seconds)

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.log.close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if not self.log.closed:
            self.log.close()


def read_example(phone, name=NORMAL):
    """Home to a whole answer, by touch."""
    while phone.state()["screen"] != "home":
        phone.key("Escape")
    phone.tap(f"example.{name}")
    phone.wait(lambda: phone.state()["screen"] == "crop")
    phone.tap("read")
    phone.wait(lambda: phone.state()["turns"] and phone.state()["findings"] == 12)
    return phone.idle()
