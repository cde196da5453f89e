"""What the system's own settings say about light and dark, and about the size of text."""

from __future__ import annotations

import shutil
import subprocess

from kivy.utils import platform


def prefers_dark() -> bool:
    """Whether the system is set to dark; False where it does not say."""
    if platform == "android":
        from jnius import autoclass

        activity = autoclass("org.kivy.android.PythonActivity").mActivity
        # Configuration.UI_MODE_NIGHT_MASK and UI_MODE_NIGHT_YES
        return activity.getResources().getConfiguration().uiMode & 0x30 == 0x20
    if platform == "macosx":
        return "Dark" in _said("defaults", "read", "-g", "AppleInterfaceStyle")
    return "dark" in _said("gsettings", "get", "org.gnome.desktop.interface", "color-scheme")


def font_scale() -> float:
    """How much larger than usual the system wants text. Kivy's own metrics have Android's."""
    try:
        scale = float(_said("gsettings", "get", "org.gnome.desktop.interface", "text-scaling-factor"))
    except ValueError:
        return 1.0
    return min(max(scale, 0.5), 3.0)


def _said(program: str, *arguments: str) -> str:
    """What a small program prints; nothing when it is missing, slow or fails: these are wishes, not needs."""
    if shutil.which(program) is None:
        return ""
    try:
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=0.5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
