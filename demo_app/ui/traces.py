"""A page with what was read of it laid over: curves, and P, QRS and T in their colours. A tap on a lead goes there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from kivy.clock import Clock
from kivy.graphics import Color, InstructionGroup, Line, Mesh
from kivy.graphics.transformation import Matrix
from kivy.input import MotionEvent
from kivy.metrics import dp
from kivy.utils import get_color_from_hex as rgb
from PIL import Image

from demo_app.marks import CURVE, WAVES
from demo_app.ui.picture import ZoomView
from edge_runtime.traces import Trace

_ROOM = 0.94  # of the view that a lead takes
_MOST = 12.0  # a lead of a phone's page needs more than a picture does
_TAP_S, _DOUBLE_S = 0.4, 0.3
_TICKS_FROM = 1.5  # zoom
_TICK = 0.012  # of the picture's height, above and below a boundary


class TraceView(ZoomView):
    """show() lays traces over the picture; jump() zooms to one of them. shown: whether they are drawn."""

    def __init__(self, picture: Image.Image, **kwargs: object) -> None:
        super().__init__(picture, **kwargs)
        self.traces: tuple[Trace, ...] = ()
        self.shown = True
        self.lead: int | None = None  # the trace that was jumped to
        self._layer, self._ticks = InstructionGroup(), InstructionGroup()
        self._lines: list[tuple[Line, float]] = []
        self._waiting = Clock.create_trigger(self._jump_to_tapped, _DOUBLE_S)
        self._tapped = -1
        self.scatter.scale_max = _MOST
        self.scatter.canvas.add(self._layer)
        self.scatter.canvas.add(self._ticks)
        self.scatter.bind(size=self._draw, scale=self._widths)

    def show(self, traces: Sequence[Trace], shown: bool = True) -> None:
        """Other traces, or none; whether they are drawn."""
        if self.traces != tuple(traces) or self.shown != shown:
            self.traces, self.shown = tuple(traces), shown
            self._draw()

    def fit(self, *_: object) -> None:
        self.lead = None
        super().fit()

    def jump(self, index: int) -> None:
        """A trace as large as the view has room."""
        left, top, right, bottom = self.traces[index].box
        width, height = self.scatter.size
        across, down = max((right - left) * width, 1), max((bottom - top) * height, 1)
        scale = min(max(_ROOM * min(self.width / across, self.height / down), 1.0), _MOST)
        self.scatter.transform = Matrix()
        self.scatter.scale = scale
        middle = ((left + right) / 2 * width, (1 - (top + bottom) / 2) * height)
        self.scatter.pos = (self.center_x - scale * middle[0], self.center_y - scale * middle[1])
        self.lead = index
        self._keep_in()

    def at(self, x: float, y: float) -> int:
        """The trace whose place holds a point of the window, the smallest of several; -1 for none."""
        local = self.scatter.to_local(x, y)
        across, down = local[0] / self.scatter.width, 1 - local[1] / self.scatter.height
        held = [
            ((box[2] - box[0]) * (box[3] - box[1]), index)
            for index, box in enumerate(trace.box for trace in self.traces)
            if box[0] <= across <= box[2] and box[1] <= down <= box[3]
        ]
        return min(held)[1] if held else -1

    def on_touch_down(self, touch: MotionEvent) -> bool:
        if self.collide_point(*touch.pos) and not touch.is_mouse_scrolling:
            self._waiting.cancel()
            touch.ud["lead"] = self.at(*touch.pos) if not touch.is_double_tap else -1
        return bool(super().on_touch_down(touch))

    def on_touch_up(self, touch: MotionEvent) -> bool:
        tapped = touch.ud.get("lead", -1)
        still = abs(touch.x - touch.ox) + abs(touch.y - touch.oy) < dp(8)
        if tapped >= 0 and still and touch.time_end - touch.time_start < _TAP_S:
            self._tapped = tapped
            self._waiting()  # a second tap would mean the whole page
        return bool(super().on_touch_up(touch))

    def _jump_to_tapped(self, _: float) -> None:
        if self._tapped < len(self.traces):
            self.jump(self._tapped)

    def _draw(self, *_: object) -> None:
        self._layer.clear()
        self._ticks.clear()
        self._lines = []
        if not self.shown:
            return
        for trace in self.traces:
            self._add(CURVE, 0.5, trace.lines)
        for kind, colour in WAVES.items():
            self._add(colour, 0.75, [mark.line for trace in self.traces for mark in trace.marks if mark.kind == kind])
        self._widths()

    def _add(self, colour: str, width: float, lines: Sequence[np.ndarray]) -> None:
        self._layer.add(Color(*rgb(colour)))
        for points in lines:
            line = Line(points=self._local(points).ravel().tolist(), joint="bevel", cap="none")
            self._layer.add(line)
            self._lines.append((line, width))

    def _local(self, points: np.ndarray) -> np.ndarray:
        placed: np.ndarray = (points * [1, -1] + [0, 1]) * self.scatter.size
        return placed

    def _widths(self, *_: object) -> None:
        """Lines stay as thin however far one zooms in; boundaries have ticks once there is room for them."""
        for line, width in self._lines:
            line.width = dp(width) * self.zoom**0.4 / self.zoom
        self._ticks.clear()
        if self.shown and self.zoom > _TICKS_FROM:
            for kind, colour in WAVES.items():
                self._ticks.add(Color(*rgb(colour)))
                self._ticks.add(self._mesh(kind))

    def _mesh(self, kind: str) -> Mesh:
        ends: list[float] = []
        for trace in self.traces:
            down = trace.corners[3] - trace.corners[0]
            down = down / max(float(np.hypot(*down)), 1e-9) * _TICK
            for mark in (mark for mark in trace.marks if mark.kind == kind):
                for point in (mark.line[0], mark.line[-1]):
                    for end in self._local(np.stack([point - down, point + down])).tolist():
                        ends += [*end, 0.0, 0.0]
        return Mesh(vertices=ends, indices=list(range(len(ends) // 4)), mode="lines")
