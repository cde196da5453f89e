"""A file manager's part in a drag: drops a file on another program's window, by the XDND protocol, version 5.

https://www.freedesktop.org/wiki/Specifications/XDND/
"""

from __future__ import annotations

import time

from Xlib import X, Xatom, display
from Xlib.protocol import event


def drop(name, window, paths):
    """Drop files on the window with this id of the display with this name; whether it took them."""
    source = _Source(name, int(window))
    try:
        return source.drop("".join(f"{path.as_uri()}\r\n" for path in paths).encode())
    finally:
        source.close()


class _Source:
    def __init__(self, name, target):
        self.display = display.Display(name)
        root = self.display.screen().root
        self.window = root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self.target = self.display.create_resource_object("window", target)
        self.middle = root.translate_coords(self.target, 0, 0)

    def close(self):
        self.display.close()

    def atom(self, name):
        return self.display.intern_atom(name)

    def drop(self, uris):
        (version,) = self.target.get_full_property(self.atom("XdndAware"), Xatom.ATOM).value
        self.window.set_selection_owner(self.atom("XdndSelection"), X.CurrentTime)
        self.say("XdndEnter", min(version, 5) << 24, self.atom("text/uri-list"), 0, 0)
        place = (abs(self.middle.x) + 100) << 16 | (abs(self.middle.y) + 100)
        self.say("XdndPosition", 0, place, X.CurrentTime, self.atom("XdndActionCopy"))
        if not self.hear("XdndStatus", uris).data[1][1] & 1:
            return False
        self.say("XdndDrop", 0, X.CurrentTime, 0, 0)
        return bool(self.hear("XdndFinished", uris).data[1][1] & 1)

    def say(self, message, *data):
        told = event.ClientMessage(
            window=self.target, client_type=self.atom(message), data=(32, [self.window.id, *data])
        )
        self.target.send_event(told)
        self.display.flush()

    def hear(self, message, uris, seconds=20):
        """Wait for the window's message; hand the files over when it asks for them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.display.pending_events():
                time.sleep(0.01)
                continue
            heard = self.display.next_event()
            if heard.type == X.SelectionRequest:
                self.hand_over(heard, uris)
            elif heard.type == X.ClientMessage and heard.client_type == self.atom(message):
                return heard
        raise TimeoutError(f"no {message}: the window takes no part in the drag")

    def hand_over(self, request, uris):
        request.requestor.change_property(request.property, request.target, 8, uris)
        done = event.SelectionNotify(
            time=request.time, requestor=request.requestor, selection=request.selection,
            target=request.target, property=request.property,
        )  # fmt: skip
        request.requestor.send_event(done)
        self.display.flush()
