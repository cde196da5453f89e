"""What only a phone has, or has in its own way: camera, file chooser, sharing. None of it was run on a phone yet."""

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


def has_chooser(kind: str) -> bool:
    """Whether the system's own chooser finds files of this kind; on iOS it knows the photo library alone."""
    return platform == "android" or (platform == "ios" and kind == "picture")


def choose_file(done: Callable[[Path], object]) -> None:
    """The system's own chooser; done(path) with the first chosen file, if any. Raises UserError where there is none."""
    try:
        from plyer import filechooser

        filechooser.open_file(on_selection=lambda chosen: done(Path(chosen[0])) if chosen else None)
    except Exception:
        raise UserError("the system's file chooser cannot be opened") from None


def files() -> Path:
    """Where a user's own files lie: on iOS what the Files app shows of this app."""
    return Path.home() / "Documents" if platform == "ios" else Path.home()


def share_file(path: Path) -> None:
    """The system's share sheet; on the window's thread. Raises UserError where there is none."""
    try:
        _share_on_ios(path) if platform == "ios" else _share_on_android(path)
    # The bridges raise whatever the system does.
    except Exception:
        raise UserError(f"{path.name} was saved, but this system has no way to share it") from None


def _share_on_android(path: Path) -> None:
    from androidstorage4kivy import SharedStorage, ShareSheet

    # Another app may only read what lies in the shared storage.
    shared = SharedStorage().copy_to_shared(str(path))
    if shared is None:
        raise OSError("the shared storage took no copy")
    ShareSheet().share_file(shared)


def _share_on_ios(path: Path) -> None:
    from rubicon.objc import ObjCClass

    sheet = ObjCClass("UIActivityViewController").alloc()
    sheet = sheet.initWithActivityItems([ObjCClass("NSURL").fileURLWithPath(str(path))], applicationActivities=None)
    screen = ObjCClass("UIApplication").sharedApplication.keyWindow.rootViewController
    # An iPad wants to know where the sheet springs from.
    if (from_where := sheet.popoverPresentationController) is not None:
        from_where.sourceView = screen.view
    screen.presentViewController(sheet, animated=True, completion=None)


def _ask_permissions() -> None:
    if platform != "android":
        return
    from android.permissions import Permission, request_permissions

    request_permissions([getattr(Permission, name, f"android.permission.{name}") for name in _PERMISSIONS])
