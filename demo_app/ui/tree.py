"""What is done with a whole tree of widgets: walk it, and hand the keyboard from one screen to the next."""

from __future__ import annotations

from kivy.core.window import Window
from kivy.uix.behaviors import FocusBehavior
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget


def walk(widget: Widget) -> list[Widget]:
    """Everything below a widget, depth first."""
    return [found for child in widget.children for found in (child, *walk(child))]


def focused() -> Widget | None:
    """The widget that has the keyboard."""
    return next((w for w in walk(Window) if isinstance(w, FocusBehavior) and w.focus), None)


def focus_first(place: Widget) -> bool:
    """Give the keyboard to the first widget that takes it; False when there is none."""
    first = next((w for w in reversed(walk(place)) if isinstance(w, FocusBehavior) and not w.disabled), None)
    if first is not None:
        first.focus = True
    return first is not None


def let_go() -> Widget | None:
    """The widget that had the keyboard. It must lose it before it goes: it would go on listening unseen."""
    held = focused()
    if held is not None:
        held.focus = False
    return held


def take_up(held: Widget | None, root: Widget) -> None:
    """The keyboard goes to the widget of the same name on the new screen, the cursor to where it was."""
    name = getattr(held, "name", "")
    heir = next((w for w in walk(root) if name and getattr(w, "name", "") == name), None)
    if heir is None or not isinstance(heir, FocusBehavior) or heir.disabled:
        return
    heir.focus = True
    if isinstance(held, TextInput) and isinstance(heir, TextInput):
        heir.cursor = held.cursor


def scroll_view(body: Widget | None) -> ScrollView | None:
    """The first part of a screen that scrolls."""
    if body is None:
        return None
    return next((w for w in (body, *walk(body)) if isinstance(w, ScrollView)), None)
