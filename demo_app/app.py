"""The window on demo_app.actions: builds the screen from the state and hands touches, keys and files to the actions."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

from kivy.app import App
from kivy.clock import Clock
from kivy.core.window import Window
from kivy.input import MotionEvent
from kivy.metrics import dp
from kivy.uix.behaviors import FocusBehavior
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.modalview import ModalView
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget
from PIL import Image, ImageGrab

from demo_app.actions import Actions
from demo_app.themes import DARK, LIGHT
from demo_app.ui import (
    browse,
    crop_screen,
    history_screen,
    home,
    look,
    models_screen,
    phone,
    result,
    settings_screen,
    system,
)
from demo_app.ui.frames import FrameGaps
from demo_app.ui.history_screen import Entries
from demo_app.ui.kit import Dialog, PushButton, Text
from demo_app.ui.look import Look, t
from demo_app.ui.picture import ZoomView, for_screen
from demo_app.ui.result import ResultBody
from demo_app.ui.shell import Shell
from edge_runtime.errors import UserError

SCREENS = {
    "home": (home.build, None),
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


class PulseDemo(Actions, App):
    """Kivy's App and our Actions. picture: opened at once; theme, language: instead of the settings'."""

    def __init__(
        self, data: Path, built_in: Path | None, *, language: str | None, theme: str | None, picture: str | None
    ) -> None:
        App.__init__(self)
        self._mail: deque[Callable[[], object]] = deque()
        self._deliver = Clock.create_trigger(self._delivery)
        self._follow_soon = Clock.create_trigger(self._follow)
        self._sweep_soon = Clock.create_trigger(self._sweep, _SWEEP)
        Actions.__init__(self, data, built_in, self._post, language)
        self.title = "PULSE ECG"
        self._theme, self._picture = theme, picture
        self._system_dark, self._system_scale = system.prefers_dark(), system.font_scale()
        self._dialog: ModalView | None = None
        self._body: Widget | None = None
        self._tools: list[Widget] = []
        self._displays: deque[tuple[Image.Image, Image.Image]] = deque(maxlen=4)
        self._gaps = FrameGaps()
        self._shape = (0, 0)
        self._touches: set[int] = set()
        self._owed = False
        self._calm = False

    # --- life -----------------------------------------------------------------------------------------------

    def build(self) -> Widget:
        """The window's one widget; screens come and go in it."""
        self.root = FloatLayout()
        self.show()
        Window.bind(on_resize=self._resized, on_keyboard=self._key_down, on_drop_file=self._dropped)
        Window.bind(on_touch_down=self._touched, on_touch_up=self._lifted)
        # Lifts the field being typed in above a phone's keyboard.
        Window.softinput_mode = "below_target"
        return self.root

    def on_start(self) -> None:
        self.load_model()
        self.show()
        if not self.settings.accepted:
            self._first_run()
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
        self.show()

    def on_stop(self) -> None:
        self.close()

    # --- the screen -----------------------------------------------------------------------------------------

    def show(self) -> None:
        """Build the screen anew from the state; scrolled as far as it was, and not under a finger."""
        if self.root is None:
            return
        if self._touches:
            self._owed = True
            return
        look.use(self._look())
        Window.clearcolor = look.now.colour("back")
        scroll = _scroll_of(self._body)
        build, tools = SCREENS[self.state.screen]
        title, body = build(self)
        same = self._body is not None and getattr(self._body, "screen", "") == self.state.screen
        body.screen = self.state.screen
        extra = tools(self) if tools is not None else []
        shell = Shell(self, title, body, bool(self.state.back), *extra)
        self._tools = extra
        held = _let_go()
        old = list(self.root.children)
        self.root.clear_widgets()
        _take_apart(old)
        self.root.add_widget(shell)
        self._body = body
        _take_up(held, self.root)
        if same and scroll is not None and (view := _scroll_view(body)) is not None:
            Clock.schedule_once(lambda _: setattr(view, "scroll_y", scroll), 0)
        self._sweep_soon()

    def _sweep(self, _: float) -> None:
        """Free the widgets of the screen before, once nothing is at work: it takes the time of a few frames."""
        was_calm, self._calm = self._calm, not self.busy
        if not (was_calm and self._calm):
            self._sweep_soon()
        else:
            gc.collect()

    def follow(self) -> None:
        """The case, the search or the benchmark moved on: shown once with the next frame."""
        self._follow_soon()

    def model_changed(self) -> None:
        # What was imported and loaded stays for good; searching it for garbage would stop the window for 0.1 s. The
        # rest is searched by _sweep, between answers, and not whenever Python thinks fit.
        gc.freeze()
        gc.set_threshold(700, 10, 1_000_000)
        super().model_changed()

    def _follow(self, _: float) -> None:
        """Change what shows it, nothing else."""
        screen, body = self.state.screen, self._body
        if screen == "result" and isinstance(body, ResultBody) and self.state.case is body.case:
            body.refresh()
            for tool in self._tools:
                tool.disabled = body.case.entry is None
        elif screen == "history" and body is not None:
            for part in body.children:
                if isinstance(part, Entries):
                    part.refresh()
        elif screen in ("bench", "result"):
            self.show()

    def _look(self) -> Look:
        chosen = self._theme or self.settings.theme
        dark = self._system_dark if chosen == "system" else chosen == "dark"
        scale = self.settings.text_size * self._system_scale
        return Look(DARK if dark else LIGHT, self.language, scale, Window.width >= dp(_WIDE))

    @property
    def body_width(self) -> float:
        """Pixels that a screen has across."""
        return float(Window.width - (max(dp(96), look.text_size(12) * 7.5) if look.now.wide else 0))

    @property
    def body_height(self) -> float:
        """Pixels that a screen has between title and foot, about."""
        return float(Window.height - dp(90) - (0 if look.now.wide else dp(70)))

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

    # --- what workers hand over -----------------------------------------------------------------------------

    def _post(self, deliver: Callable[[], object]) -> None:
        self._mail.append(deliver)
        self._deliver()

    def _delivery(self, _: float) -> None:
        """As much as a frame has time for; the rest in the next one."""
        end = time.perf_counter() + _DELIVERY
        while self._mail and time.perf_counter() < end:
            self._mail.popleft()()
        if self._mail:
            self._deliver()

    # --- input ----------------------------------------------------------------------------------------------

    def _resized(self, _: object, width: int, height: int) -> None:
        """A turned phone, or a window drawn larger: the same state, laid out anew."""
        if (width, height) != self._shape:
            self._shape = (width, height)
            Clock.unschedule(self._reshow)
            Clock.schedule_once(self._reshow, 0.05)

    def _touched(self, _: object, touch: MotionEvent) -> None:
        self._touches.add(touch.uid)

    def _lifted(self, _: object, touch: MotionEvent) -> None:
        """Called before the widgets hear of it: what a button does may show another screen at once."""
        self._touches.discard(touch.uid)
        if self._owed and not self._touches:
            self._owed = False
            Clock.schedule_once(self._reshow, 0)

    def _reshow(self, _: float) -> None:
        self.show()

    def _key_down(self, _: object, key: int, __: int, ___: str, modifiers: list[str]) -> bool:
        if key == 27:
            if self._dialog is not None:
                if self._dialog.auto_dismiss:
                    self._dialog.dismiss()
                return True
            if not self.go_back():
                self.stop()
            return True
        if key == 9 and _focused() is None:  # Tab leads on from what has the focus; somebody must have it first
            return self._focus_first()
        if key == ord("v") and "ctrl" in modifiers and self.state.screen == "home" and self._dialog is None:
            self.paste()
            return True
        if isinstance(self._body, ResultBody) and key in (ord("+"), ord("="), ord("-"), ord("0")) and not _typing():
            view: ZoomView = self._body.page
            view.fit() if key == ord("0") else view.zoom_by(1 / 1.25 if key == ord("-") else 1.25)
            return True
        return False

    def _focus_first(self) -> bool:
        place = self._dialog or self.root
        first = next((w for w in reversed(_walk(place)) if isinstance(w, FocusBehavior) and not w.disabled), None)
        if first is not None:
            first.focus = True
        return first is not None

    def _dropped(self, _: object, name: bytes, *__: object) -> None:
        path = Path(name.decode())
        if path.is_dir() or path.suffix.lower() == ".zip":
            self.go_place("models")
            self.add_bundle(path)
        else:
            self.open_picture(path, path.stem)

    def paste(self) -> None:
        """A picture, or the path of one, from the clipboard."""
        try:
            found = ImageGrab.grabclipboard()
        # No picture, or on Linux neither xclip nor wl-paste to ask for one.
        except (NotImplementedError, OSError, ValueError):
            found = None
        if isinstance(found, Image.Image):
            self.open_picture(found, t("home.paste"))
            return
        from kivy.core.clipboard import Clipboard

        words = found[0] if isinstance(found, list) and found else (Clipboard.paste() or "").strip()
        path = Path(unquote(urlparse(words).path) if words.startswith("file:") else words)
        if words and len(words) < 4096 and path.is_file():
            self.open_picture(path, path.stem)
        else:
            self.fail(t("error.clipboard"))

    # --- choosing -------------------------------------------------------------------------------------------

    def choose_picture(self) -> None:
        self._pick("picture", lambda path: self.open_picture(path, path.stem))

    def choose_bundle(self, kind: str) -> None:
        def picked(path: Path) -> None:
            self._enter("models")
            self.add_bundle(path)

        self._pick(kind, picked)

    def choose_key(self) -> None:
        def picked(path: Path) -> None:
            self._enter("settings")
            self.set_key(str(path))

        self._pick("key", picked)

    def _pick(self, kind: str, done: Callable[[Path], object]) -> None:
        if phone.PHONE:
            try:
                phone.choose_file(lambda path: self._post(lambda: done(path)))
            except UserError as error:
                self.fail(str(error))
            return
        self._on_pick = done
        self.state.picking = kind
        self.state.folder = self.state.folder or str(Path.home())
        self.go("browse")

    def browse_to(self, folder: Path) -> None:
        self.state.folder = str(folder)
        self._body = None  # another folder is read from its top
        self.show()

    def picked(self, path: Path) -> None:
        if self.state.back:
            self.state.back.pop()
        self._on_pick(path)

    def take_photo(self) -> None:
        target = self.data / "photo.jpg"

        def taken(path: Path) -> None:
            self._post(lambda: self.open_picture(path, t("home.camera")))

        try:
            phone.take_photo(target, taken)
        except UserError:
            self.fail(t("error.camera"))

    # --- dialogs --------------------------------------------------------------------------------------------

    def open_dialog(self, dialog: Dialog) -> None:
        """One at a time."""
        if self._dialog is not None:
            self._dialog.dismiss()
        self._dialog = dialog

        def closed(*_: object) -> None:
            if self._dialog is dialog:
                self._dialog = None

        dialog.bind(on_dismiss=closed)
        dialog.open(animation=False)

    def shared(self, path: Path) -> None:
        """Tell where it is; a phone's share sheet follows."""
        close = PushButton(t("close"), lambda: dialog.dismiss(), "check", "primary", "close")
        dialog = Dialog(t("share.title"), [Text(t("share.saved", path=path), 14)], [close])
        dialog.name = "shared"
        self.open_dialog(dialog)
        if phone.PHONE:
            try:
                phone.share_file(path, self.title)
            except UserError as error:
                self.fail(str(error))

    def _first_run(self) -> None:
        """Nothing works before this was read."""

        def accept() -> None:
            dialog.dismiss()
            self.change(accepted=True)

        words = [Text(t("first.body"), 15), Text(t("first.private"), 15, "muted")]
        dialog = Dialog(
            t("first.title"), words, [PushButton(t("first.accept"), accept, "check", "primary", "accept")], must=True
        )
        self.open_dialog(dialog)


def _focused() -> Widget | None:
    return next((w for w in _walk(Window) if isinstance(w, FocusBehavior) and w.focus), None)


def _take_apart(widgets: list[Widget]) -> None:
    """Let go of a screen that is left: without its parents' hold most of it is freed at once, not by a later sweep."""
    for widget in widgets:
        inner = _walk(widget)
        for one in inner:
            one.parent = None


def _let_go() -> Widget | None:
    """The widget that had the keyboard. It must lose it before it goes: it would go on listening unseen."""
    held = _focused()
    if held is not None:
        held.focus = False
    return held


def _take_up(held: Widget | None, root: Widget) -> None:
    """The keyboard goes to the widget of the same name on the new screen, the cursor to where it was."""
    name = getattr(held, "name", "")
    heir = next((w for w in _walk(root) if name and getattr(w, "name", "") == name), None)
    if heir is None or not isinstance(heir, FocusBehavior) or heir.disabled:
        return
    heir.focus = True
    if isinstance(held, TextInput) and isinstance(heir, TextInput):
        heir.cursor = held.cursor


def _typing() -> bool:
    return isinstance(_focused(), TextInput)


def _walk(widget: Widget) -> list[Widget]:
    return [found for child in widget.children for found in (child, *_walk(child))]


def _scroll_view(body: Widget | None):  # type: ignore[no-untyped-def]
    if body is None:
        return None
    return next((w for w in (body, *_walk(body)) if isinstance(w, ScrollView)), None)


def _scroll_of(body: Widget | None) -> float | None:
    view = _scroll_view(body)
    return None if view is None else float(view.scroll_y)
