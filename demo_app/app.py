"""The window on demo_app.actions: builds the screen from the state and hands touches, keys and files to the actions."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from kivy.app import App
from kivy.clock import Clock
from kivy.core.window import Window
from kivy.metrics import dp
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.modalview import ModalView
from kivy.uix.widget import Widget
from PIL import Image

from demo_app.themes import DARK, LIGHT
from demo_app.ui import (
    browse,
    crop_screen,
    history_screen,
    home,
    models_screen,
    notices,
    pages_screen,
    result,
    settings_screen,
    style,
    system,
)
from demo_app.ui.frames import FrameGaps
from demo_app.ui.history_screen import Found
from demo_app.ui.input import Input
from demo_app.ui.layout import Layout
from demo_app.ui.pages_screen import PageTiles
from demo_app.ui.picture import for_screen
from demo_app.ui.result import ResultBody
from demo_app.ui.style import Style
from demo_app.ui.tree import let_go, scroll_view, take_up
from demo_app.ui.window import AppWindow

SCREENS = {
    "home": (home.build, None),
    "pages": (pages_screen.build, None),
    "crop": (crop_screen.build, None),
    "result": (result.build, result.tools),
    "history": (history_screen.build, None),
    "entry": (history_screen.build_entry, history_screen.entry_tools),
    "models": (models_screen.build, None),
    "bench": (models_screen.build_bench, None),
    "settings": (settings_screen.build, None),
    "browse": (browse.build, None),
}
# From here on a rail at the side, and pages beside their answers.
_WIDE = 640
# So long after a screen was left its widgets are freed, in seconds.
_SWEEP = 0.25
# What may be delivered to the state between two frames, in seconds.
_DELIVERY = 0.008


class PulseDemo(AppWindow, App):
    """Kivy's App and our Actions. picture: opened at once; theme, language: instead of the settings'."""

    def __init__(
        self, data: Path, built_in: Path | None, *, language: str | None, theme: str | None, picture: str | None
    ) -> None:
        App.__init__(self)
        self._mail: deque[Callable[[], object]] = deque()
        self._deliver = Clock.create_trigger(self._delivery)
        self._follow_soon = Clock.create_trigger(self._follow)
        self._sweep_soon = Clock.create_trigger(self._sweep, _SWEEP)
        # A frame's input is over by then, and the new screen is laid out before it is drawn: no touch meets a screen
        # that is not in its place yet.
        self._build_soon = Clock.create_trigger(self._build, -1)
        self._resized_soon = Clock.create_trigger(lambda _: self.show(), 0.05)
        AppWindow.__init__(self, data, built_in, self.post, language)
        self.title = "PULSE ECG"
        self._theme, self._picture = theme, picture
        self._system_dark, self._system_scale = system.prefers_dark(), system.font_scale()
        self.dialog: ModalView | None = None
        self.body: Widget | None = None
        self._tools: list[Widget] = []
        self._displays: deque[tuple[Image.Image, Image.Image]] = deque(maxlen=4)
        self._gaps = FrameGaps()
        self._shape = (0, 0)
        self._owed = False
        self._calm = False

    # --- life -----------------------------------------------------------------------------------------------

    def build(self) -> Widget:
        """The window's one widget; screens come and go in it."""
        self.root = FloatLayout()
        self.input = Input(self)
        style.use(self._style())
        self.show()
        Window.bind(on_resize=self._resized)
        # Lifts the field being typed in above a phone's keyboard.
        Window.softinput_mode = "below_target"
        return self.root

    def on_start(self) -> None:
        self.load_model()
        self.show()
        if not self.settings.accepted:
            notices.first_run(self)
        if self._picture:
            path = Path(self._picture)
            self.open_picture(path, path.stem)

    def on_pause(self) -> bool:
        """Leaving for another app: what is open stays; the corners go to the draft in case we are ended."""
        case = self.state.case
        if case is not None and self.draft.title() is not None:
            self.draft.move(case.title, case.corners)
        return True

    def on_resume(self) -> None:
        self.input.forget()
        self.show()

    def leave(self) -> None:
        self.stop()

    def on_stop(self) -> None:
        self.close()

    # --- the screen -----------------------------------------------------------------------------------------

    def show(self) -> None:
        """Build the screen anew from the state, before the next frame is drawn and not under a finger."""
        self._build_soon()

    def _build(self, _: float) -> None:
        """Scrolled as far as it was, and the keyboard where it was."""
        if self.root is None:
            return
        if self.input.touching:
            self._owed = True
            return
        style.use(self._style())
        Window.clearcolor = style.now.colour("back")
        before, screen = scroll_view(self.body), self.state.screen
        build, tools = SCREENS[screen]
        title, body = build(self)
        same = self.body is not None and getattr(self.body, "screen", "") == screen
        body.screen = screen
        extra = tools(self) if tools is not None else []
        layout = Layout(self, title, body, bool(self.state.back), *extra)
        self._tools = extra
        held = let_go()
        self.root.clear_widgets()
        self.root.add_widget(layout)
        self.body = body
        take_up(held, self.root)
        if same and before is not None and (view := scroll_view(body)) is not None:
            scrolled = before.scroll_y
            Clock.schedule_once(lambda _: setattr(view, "scroll_y", scrolled), 0)
        self._sweep_soon()

    def _sweep(self, _: float) -> None:
        """Free the widgets of the screen before, once nothing was at work for a while: it takes a few frames' time.

        Kivy's widgets hold themselves (their on_... handlers are observers of their own properties), so that only the
        garbage collector frees them.
        """
        was_calm, self._calm = self._calm, not self.busy
        if not (was_calm and self._calm):
            self._sweep_soon()
        else:
            gc.collect()

    def follow(self) -> None:
        """The case, the search or the benchmark moved on: shown once with the next frame."""
        self._calm = False
        self._follow_soon()

    def model_changed(self) -> None:
        # What was imported and loaded stays for good; searching it for garbage would stop the window for 0.1 s. The
        # rest is searched by _sweep, between answers, and not whenever Python thinks fit.
        gc.freeze()
        gc.set_threshold(700, 10, 1_000_000)
        super().model_changed()

    def _follow(self, _: float) -> None:
        """Change what shows it, nothing else."""
        screen, body = self.state.screen, self.body
        if screen == "result" and isinstance(body, ResultBody) and self.state.case is body.case:
            body.refresh()
            for tool in self._tools:
                tool.disabled = body.case.entry is None
        elif screen == "history" and body is not None:
            for part in body.children:
                if isinstance(part, Found):
                    part.refresh()
        elif screen == "pages" and isinstance(body, PageTiles):
            body.refresh()
        elif screen in ("bench", "result"):
            self.show()

    def _style(self) -> Style:
        chosen = self._theme or self.settings.theme
        dark = self._system_dark if chosen == "system" else chosen == "dark"
        scale = self.settings.text_size * self._system_scale
        return Style(DARK if dark else LIGHT, self.language, scale, Window.width >= dp(_WIDE))

    @property
    def body_width(self) -> float:
        """Pixels that a screen has across."""
        return float(Window.width - (max(dp(96), style.text_size(12) * 7.5) if style.now.wide else 0))

    @property
    def body_height(self) -> float:
        """Pixels that a screen has between title and foot, about."""
        return float(Window.height - dp(90) - (0 if style.now.wide else dp(70)))

    def display(self, picture: Image.Image) -> Image.Image:
        """The picture at a size for the screen, made once."""
        kept = next((small for whole, small in list(self._displays) if whole is picture), None)
        if kept is None:
            kept = for_screen(picture)
            self._displays.append((picture, kept))
        return kept

    def prepare(self, picture: Image.Image) -> None:
        self.display(picture)

    def after_frame(self, call: Callable[[], object]) -> None:
        # The first of the two frames lays the screen out, and its end is when it has been drawn.
        Clock.schedule_once(lambda _: Clock.schedule_once(lambda _: call(), 0), 0)

    def frames(self, start: bool) -> float:
        """The gaps between frames; see Actions."""
        if start:
            self._gaps.start()
            return 0.0
        return self._gaps.stop()

    def clipboard_text(self) -> str:
        from kivy.core.clipboard import Clipboard

        return Clipboard.paste() or ""

    # --- what workers hand over -----------------------------------------------------------------------------

    def post(self, deliver: Callable[[], object]) -> None:
        """Call it on the window's thread; any thread may ask."""
        self._mail.append(deliver)
        self._deliver()

    def _delivery(self, _: float) -> None:
        """As much as a frame has time for; the rest in the next one."""
        end = time.perf_counter() + _DELIVERY
        while self._mail and time.perf_counter() < end:
            self._mail.popleft()()
        if self._mail:
            self._deliver()

    # --- the window's shape and its fingers -------------------------------------------------------------------

    def _resized(self, _: object, width: int, height: int) -> None:
        """A turned phone, or a window drawn larger: the same state, laid out anew."""
        if (width, height) != self._shape:
            self._shape = (width, height)
            self._resized_soon.cancel()
            self._resized_soon()

    def untouched(self) -> None:
        """The last finger was lifted: what had to wait for it may be built."""
        if self._owed:
            self._owed = False
            self.show()

    # --- dialogs --------------------------------------------------------------------------------------------

    def open_dialog(self, dialog: ModalView) -> None:
        """One at a time."""
        if self.dialog is not None:
            self.dialog.dismiss()
        self.dialog = dialog

        def closed(*_: object) -> None:
            if self.dialog is dialog:
                self.dialog = None

        dialog.bind(on_dismiss=closed)
        dialog.open(animation=False)

    def shared(self, path: Path) -> None:
        notices.saved(self, path)
