"""What only a phone has, or has in its own way: camera, system file chooser, sharing. All through plyer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kivy.utils import platform

from edge_runtime.errors import UserError

PHONE = platform in ("android", "ios")
_PERMISSIONS = ("CAMERA", "READ_MEDIA_IMAGES", "READ_EXTERNAL_STORAGE")


def take_photo(target: Path, done: Callable[[Path], object]) -> None:
    """Open the system's camera; done(target) once a photo was taken. Raises UserError where there is no camera."""
    _ask_permissions()
    try:
        from plyer import camera

        camera.take_picture(filename=str(target), on_complete=lambda path: done(Path(path)) if path else None)
    # plyer raises NotImplementedError for a platform, and whatever the platform raises for a refusal.
    except Exception:
        raise UserError("the camera cannot be used here; choose a picture instead") from None


def choose_file(done: Callable[[Path], object]) -> None:
    """The system's own chooser; done(path) with the first chosen file, if any. Raises UserError where there is none."""
    try:
        from plyer import filechooser

        filechooser.open_file(on_selection=lambda chosen: done(Path(chosen[0])) if chosen else None)
    except Exception:
        raise UserError("the system's file chooser cannot be opened") from None


def share_file(path: Path, title: str) -> None:
    """The system's share sheet. Raises UserError where there is none."""
    try:
        from plyer import share

        share.share(title=title, filepath=str(path))
    except Exception:
        raise UserError(f"{path.name} was saved, but this system has no way to share it") from None


def _ask_permissions() -> None:
    if platform != "android":
        return
    from android.permissions import Permission, request_permissions

    request_permissions([getattr(Permission, name, f"android.permission.{name}") for name in _PERMISSIONS])
