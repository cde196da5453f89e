"""Pictures on the screen: one to zoom into, and one with four corners to drag."""

from __future__ import annotations

from collections.abc import Callable

from kivy.graphics import (
    Color,
    Quad,
    Rectangle,
    SmoothEllipse,
    SmoothLine,
    StencilPop,
    StencilPush,
    StencilUnUse,
    StencilUse,
)
from kivy.graphics.texture import Texture
from kivy.graphics.transformation import Matrix
from kivy.input import MotionEvent
from kivy.metrics import dp
from kivy.uix.behaviors import FocusBehavior
from kivy.uix.scatter import Scatter
from kivy.uix.stencilview import StencilView
from kivy.uix.widget import Widget
from PIL import Image

from demo_app.outline import Corners, is_convex
from demo_app.ui import style

_MOST = 6.0


def texture_of(picture: Image.Image) -> Texture:
    """The picture on the graphics card; on the window's thread only."""
    texture = Texture.create(size=picture.size, colorfmt="rgb")
    texture.blit_buffer(picture.tobytes(), colorfmt="rgb", bufferfmt="ubyte")
    texture.flip_vertical()
    return texture


def for_screen(picture: Image.Image, longest: int = 1600) -> Image.Image:
    """RGB and small enough to be sent to the graphics card within a frame; off the window's thread."""
    scale = longest / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


class ZoomView(StencilView):
    """A picture that fits its place; pinch, wheel or + and - zoom, dragging moves, a double tap shows it whole."""

    def __init__(self, picture: Image.Image, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.name = "page"
        self._ratio = picture.width / picture.height
        self.scatter = Scatter(do_rotation=False, scale_min=1.0, scale_max=_MOST, auto_bring_to_front=False)
        with self.scatter.canvas:
            Color(1, 1, 1, 1)
            self._image = Rectangle(texture=texture_of(picture))
        with self.canvas.before:
            Color(*style.now.colour("raised"))
            self._back = Rectangle()
        self.add_widget(self.scatter)
        self.bind(pos=self.fit, size=self.fit)

    @property
    def zoom(self) -> float:
        """1 shows the whole picture."""
        return float(self.scatter.scale)

    def fit(self, *_: object) -> None:
        """The whole picture, as large as it goes, in the middle."""
        self._back.pos, self._back.size = self.pos, self.size
        width = min(self.width, self.height * self._ratio)
        self.scatter.transform = Matrix()
        self.scatter.size = (width, width / self._ratio)
        self._image.size = self.scatter.size
        self.scatter.center = self.center

    def zoom_by(self, factor: float, at: tuple[float, float] | None = None) -> None:
        """Zoom about a point of the window, between the whole picture and six times that."""
        scale = min(max(self.scatter.scale * factor, 1.0), _MOST)
        if scale == 1.0:
            self.fit()
            return
        anchor = self.scatter.to_local(*(at or self.center))
        self.scatter.apply_transform(Matrix().scale(*(scale / self.scatter.scale,) * 3), anchor=anchor)
        self._keep_in()

    def on_touch_down(self, touch: MotionEvent) -> bool:
        if not self.collide_point(*touch.pos):
            return False
        if touch.is_mouse_scrolling:
            self.zoom_by(1.2 if touch.button == "scrolldown" else 1 / 1.2, touch.pos)
            return True
        if touch.is_double_tap:
            self.fit() if self.zoom > 1.01 else self.zoom_by(2.5, touch.pos)
            return True
        # Not zoomed in, one finger scrolls the screen; it takes two to begin.
        self.scatter.do_translation = self.zoom > 1.01
        handled = bool(self.scatter.on_touch_down(touch))
        return handled and (self.zoom > 1.01 or len(self.scatter._touches) > 1)

    def on_touch_move(self, touch: MotionEvent) -> bool:
        return bool(super().on_touch_move(touch))

    def on_touch_up(self, touch: MotionEvent) -> bool:
        done = bool(super().on_touch_up(touch))
        self._keep_in()
        return done

    def _keep_in(self) -> None:
        """A picture larger than its place covers it; a smaller one stays in the middle."""
        (x, y), (width, height) = self.scatter.bbox
        dx = _shift(x, width, self.x, self.width)
        dy = _shift(y, height, self.y, self.height)
        if dx or dy:
            self.scatter.pos = (self.scatter.x + dx, self.scatter.y + dy)


def _shift(start: float, length: float, low: float, room: float) -> float:
    if length <= room:
        return low + (room - length) / 2 - start
    return min(low - start, 0) + max(low + room - start - length, 0)


class CropView(FocusBehavior, Widget):
    """A picture with four handles. changed(corners) is called when one was moved.

    Fractions as in outline.WHOLE. While a corner is dragged, a loupe shows what lies beneath the finger.
    """

    _REACH = 36  # dp from a corner within which a touch takes it

    def __init__(
        self, picture: Image.Image, corners: Corners, changed: Callable[[Corners], object], **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.name, self._changed = "crop", changed
        self._texture, self._ratio = texture_of(picture), picture.width / picture.height
        self._corners = [list(corner) for corner in corners]
        self._held: int | None = None
        self.selected = 0
        self.bind(pos=self._draw, size=self._draw, focus=self._draw)

    @property
    def corners(self) -> Corners:
        return tuple((x, y) for x, y in self._corners)

    def show(self, corners: Corners) -> None:
        """Other corners, from a button."""
        self._corners = [list(corner) for corner in corners]
        self._draw()

    def place(self, index: int) -> tuple[float, float]:
        """Where a corner is in the window."""
        x, y, width, height = self._box()
        fx, fy = self._corners[index]
        return x + fx * width, y + (1 - fy) * height

    def _box(self) -> tuple[float, float, float, float]:
        margin = dp(22)  # room for half a handle
        room = max(self.width - 2 * margin, 1), max(self.height - 2 * margin, 1)
        width = min(room[0], room[1] * self._ratio)
        height = width / self._ratio
        return self.center_x - width / 2, self.center_y - height / 2, width, height

    def on_touch_down(self, touch: MotionEvent) -> bool:
        if not self.collide_point(*touch.pos) or touch.is_mouse_scrolling:
            return bool(super().on_touch_down(touch))
        self.focus = True
        FocusBehavior.ignored_touch.append(touch)  # lifting the finger must not take the keyboard away again
        away = [_distance(touch.pos, self.place(i)) for i in range(4)]
        nearest = min(range(4), key=away.__getitem__)
        if away[nearest] > dp(self._REACH):
            return True
        self._held = self.selected = nearest
        touch.grab(self)
        # The corner keeps its distance from the finger, so that it does not jump when taken.
        place = self.place(nearest)
        touch.ud["offset"] = place[0] - touch.x, place[1] - touch.y
        self._draw()
        return True

    def on_touch_move(self, touch: MotionEvent) -> bool:
        if touch.grab_current is not self or self._held is None:
            return bool(super().on_touch_move(touch))
        x, y, width, height = self._box()
        dx, dy = touch.ud["offset"]
        self._move(self._held, (touch.x + dx - x) / width, 1 - (touch.y + dy - y) / height)
        return True

    def on_touch_up(self, touch: MotionEvent) -> bool:
        if touch.grab_current is not self:
            return bool(super().on_touch_up(touch))
        touch.ungrab(self)
        self._held = None
        self._draw()
        self._changed(self.corners)
        return True

    def keyboard_on_key_down(self, window: object, keycode: tuple[int, str], text: str, modifiers: list[str]) -> bool:
        step = 0.02 if "shift" in modifiers else 0.004
        moves = {"left": (-step, 0), "right": (step, 0), "up": (0, -step), "down": (0, step)}
        if keycode[1] in ("1", "2", "3", "4"):
            self.selected = int(keycode[1]) - 1
            self._draw()
            return True
        if keycode[1] in moves:
            (x, y), (dx, dy) = self._corners[self.selected], moves[keycode[1]]
            self._move(self.selected, x + dx, y + dy)
            self._changed(self.corners)
            return True
        return bool(super().keyboard_on_key_down(window, keycode, text, modifiers))

    def _move(self, index: int, x: float, y: float) -> None:
        """A corner moves only where the page stays a page: inside the picture, the outline convex."""
        moved = [list(corner) for corner in self._corners]
        moved[index] = [min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)]
        if is_convex(tuple((x, y) for x, y in moved)):
            self._corners = moved
            self._draw()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        x, y, width, height = self._box()
        box = [(x, y + height), (x + width, y + height), (x + width, y), (x, y)]
        at = [self.place(i) for i in range(4)]
        accent = style.now.colour("accent")
        with self.canvas:
            Color(1, 1, 1, 1)
            Rectangle(texture=self._texture, pos=(x, y), size=(width, height))
            Color(0, 0, 0, 0.5)
            for i in range(4):
                j = (i + 1) % 4
                Quad(points=(*box[i], *box[j], *at[j], *at[i]))
            Color(*accent)
            SmoothLine(points=[c for p in at for c in p], close=True, width=dp(1.4), joint="round")
            for i, (cx, cy) in enumerate(at):
                radius = dp(13 if i == self.selected and self.focus else 11)
                Color(1, 1, 1, 1)
                SmoothEllipse(pos=(cx - radius, cy - radius), size=(2 * radius, 2 * radius))
                Color(*accent)
                inner = radius - dp(3)
                SmoothEllipse(pos=(cx - inner, cy - inner), size=(2 * inner, 2 * inner))
            if self._held is not None:
                self._loupe(self._held, accent)

    def _loupe(self, index: int, accent: list[float]) -> None:
        """Twice as large, in the picture's corner that is farthest from the finger."""
        fx, fy = self._corners[index]
        _, _, width, height = self._box()
        side, zoom = min(dp(112), 0.4 * self.width), 2.5
        left = self.x + dp(8) if fx > 0.5 else self.right - dp(8) - side
        bottom = self.top - dp(8) - side
        shown = (width * zoom, height * zoom)
        pos = (left + side / 2 - fx * shown[0], bottom + side / 2 - (1 - fy) * shown[1])
        StencilPush()
        Rectangle(pos=(left, bottom), size=(side, side))
        StencilUse()
        Color(*style.now.colour("raised"))
        Rectangle(pos=(left, bottom), size=(side, side))
        Color(1, 1, 1, 1)
        Rectangle(texture=self._texture, pos=pos, size=shown)
        StencilUnUse()
        Rectangle(pos=(left, bottom), size=(side, side))
        StencilPop()
        Color(*accent)
        SmoothLine(rectangle=(left, bottom, side, side), width=dp(1.4))
        middle = left + side / 2, bottom + side / 2
        SmoothLine(points=[middle[0] - dp(10), middle[1], middle[0] + dp(10), middle[1]], width=1)
        SmoothLine(points=[middle[0], middle[1] - dp(10), middle[0], middle[1] + dp(10)], width=1)


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5
