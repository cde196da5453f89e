"""SmoothLine icons on a grid of 24, drawn by the graphics card: no font, no files, sharp at every density."""

from __future__ import annotations

from typing import Any

from kivy.graphics import Color, SmoothLine
from kivy.metrics import dp
from kivy.properties import ListProperty, StringProperty
from kivy.uix.widget import Widget

# Polylines as x, y pairs (y downwards); a triple ("o", x, y, r) is a circle.
_ICONS: dict[str, list[tuple[Any, ...]]] = {
    "pulse": [
        (2, 12, 7, 12, 9.5, 5, 14, 19, 16.5, 12, 22, 12),
    ],
    "history": [
        ("o", 12, 12, 9),
        (12, 7, 12, 12, 15.5, 14),
    ],
    "model": [
        (12, 2.5, 20.5, 7, 20.5, 17, 12, 21.5, 3.5, 17, 3.5, 7, 12, 2.5),
        (3.5, 7, 12, 11.5, 20.5, 7),
        (12, 11.5, 12, 21.5),
    ],
    "settings": [
        (3, 7, 13, 7),
        (19, 7, 21, 7),
        ("o", 16, 7, 2.6),
        (3, 17, 5, 17),
        (11, 17, 21, 17),
        ("o", 8, 17, 2.6),
    ],
    "back": [
        (20, 12, 4, 12),
        (10.5, 5.5, 4, 12, 10.5, 18.5),
    ],
    "close": [
        (6, 6, 18, 18),
        (18, 6, 6, 18),
    ],
    "stop": [
        (6.5, 6.5, 17.5, 6.5, 17.5, 17.5, 6.5, 17.5, 6.5, 6.5),
    ],
    "check": [
        (4.5, 12.5, 9.5, 17.5, 19.5, 7),
    ],
    "image": [
        (3.5, 4.5, 20.5, 4.5, 20.5, 19.5, 3.5, 19.5, 3.5, 4.5),
        (3.5, 16.5, 9, 11, 13, 15, 16, 12.5, 20.5, 16.5),
        ("o", 15.5, 8.7, 1.5),
    ],
    "camera": [
        (3, 7.5, 7.5, 7.5, 9, 5, 15, 5, 16.5, 7.5, 21, 7.5, 21, 19, 3, 19, 3, 7.5),
        ("o", 12, 13, 3.6),
    ],
    "paste": [
        (8, 4.5, 5, 4.5, 5, 21, 19, 21, 19, 4.5, 16, 4.5),
        (8.5, 3, 15.5, 3, 15.5, 6.5, 8.5, 6.5, 8.5, 3),
    ],
    "left": [
        (4, 4, 4, 9.5, 9.5, 9.5),
        (4.4, 9.3, 7, 6.4, 10.5, 5, 14.2, 5.2, 17.6, 7, 19.7, 10.2, 20, 14, 18.5, 17.4, 15.6, 19.7),
    ],
    "right": [
        (20, 4, 20, 9.5, 14.5, 9.5),
        (19.6, 9.3, 17, 6.4, 13.5, 5, 9.8, 5.2, 6.4, 7, 4.3, 10.2, 4, 14, 5.5, 17.4, 8.4, 19.7),
    ],
    "corners": [
        (4, 9, 4, 4, 9, 4),
        (15, 4, 20, 4, 20, 9),
        (20, 15, 20, 20, 15, 20),
        (9, 20, 4, 20, 4, 15),
    ],
    "whole": [
        (4, 5, 20, 5, 20, 19, 4, 19, 4, 5),
    ],
    "share": [
        (12, 15, 12, 3.5),
        (7.5, 8, 12, 3.5, 16.5, 8),
        (5, 12.5, 5, 20.5, 19, 20.5, 19, 12.5),
    ],
    "send": [
        (3.5, 12, 20.5, 12),
        (13.5, 5, 20.5, 12, 13.5, 19),
    ],
    "trash": [
        (4, 6.5, 20, 6.5),
        (9, 6.5, 9.5, 3.5, 14.5, 3.5, 15, 6.5),
        (6, 6.5, 7, 20.5, 17, 20.5, 18, 6.5),
    ],
    "search": [
        ("o", 10.5, 10.5, 6.5),
        (15.3, 15.3, 20.5, 20.5),
    ],
    "folder": [
        (3, 19, 3, 5, 9, 5, 11, 7.5, 21, 7.5, 21, 19, 3, 19),
    ],
    "file": [
        (6, 3, 14, 3, 18.5, 7.5, 18.5, 21, 6, 21, 6, 3),
        (14, 3, 14, 7.5, 18.5, 7.5),
    ],
    "add": [
        (12, 4.5, 12, 19.5),
        (4.5, 12, 19.5, 12),
    ],
    "gauge": [
        (3.5, 17, 3.2, 13, 4.6, 9.2, 7.6, 6.4, 12, 5.4, 16.4, 6.4, 19.4, 9.2, 20.8, 13, 20.5, 17),
        (12, 14.5, 16, 9.5),
        ("o", 12, 15.5, 1.4),
    ],
    "lock": [
        (5, 11, 19, 11, 19, 20.5, 5, 20.5, 5, 11),
        (8, 11, 8, 7.5, 9.2, 4.8, 12, 3.7, 14.8, 4.8, 16, 7.5, 16, 11),
    ],
    "warn": [
        (12, 3.5, 22, 20.5, 2, 20.5, 12, 3.5),
        (12, 10, 12, 14.5),
        ("o", 12, 17.4, 0.5),
    ],
    "zoom": [
        ("o", 10.5, 10.5, 6.5),
        (15.3, 15.3, 20.5, 20.5),
        (10.5, 7.7, 10.5, 13.3),
        (7.7, 10.5, 13.3, 10.5),
    ],
    "up": [
        (12, 20, 12, 4),
        (5.5, 10.5, 12, 4, 18.5, 10.5),
    ],
}
NAMES = tuple(_ICONS)


class Icon(Widget):
    """A square with an icon in it, as large as the shorter side allows."""

    icon = StringProperty("")
    colour = ListProperty([0, 0, 0, 1])

    def __init__(self, icon: str, colour: list[float], size: float = 24, **kwargs: object) -> None:
        super().__init__(size_hint=(None, None), size=(dp(size), dp(size)), **kwargs)
        self.icon, self.colour = icon, colour
        self.bind(pos=self._draw, size=self._draw, icon=self._draw, colour=self._draw)
        self._draw()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        if not self.icon:
            return
        side = min(self.size)
        left, bottom, unit = self.center_x - side / 2, self.center_y - side / 2, side / 24
        with self.canvas:
            Color(*self.colour)
            for shape in _ICONS[self.icon]:
                if shape[0] == "o":
                    _, x, y, r = shape
                    SmoothLine(circle=(left + x * unit, bottom + (24 - y) * unit, r * unit), width=0.85 * unit)
                else:
                    points = [left + v * unit if i % 2 == 0 else bottom + (24 - v) * unit for i, v in enumerate(shape)]
                    SmoothLine(points=points, width=0.85 * unit, joint="round", cap="round")
