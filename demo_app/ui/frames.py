"""Is the window alive? The longest time between two of its frames while something is measured."""

from __future__ import annotations

import time

from kivy.clock import Clock


class FrameGaps:
    """Ticks on every frame between start() and stop(); a frame is asked for at least every 1/60 s."""

    def __init__(self) -> None:
        self.gaps_ms: list[float] = []
        self._last: float | None = None
        self._event = Clock.create_trigger(self._tick, 0, interval=True)

    def start(self) -> None:
        self.gaps_ms, self._last = [], None
        self._event()

    def stop(self) -> float:
        """The longest gap in milliseconds, 0 before two frames."""
        self._event.cancel()
        return max(self.gaps_ms, default=0.0)

    def _tick(self, _: float) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.gaps_ms.append(1e3 * (now - self._last))
        self._last = now
