"""Where the app keeps its things. Nothing is written anywhere else, and nothing leaves the device."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
EXAMPLES = PACKAGE / "examples"
# A phone's app carries its bundle inside; on a desktop `make app` exports one, and the base install brings one.
_CARRIED = PACKAGE / "bundle"
_BUILT = Path("build/pulse-nano-onnx")


def data_folder(environ: dict[str, str] | None = None, platform: str = sys.platform) -> Path:
    """The folder for history, settings and imported bundles, as each system wants it; PULSE_DEMO_DATA overrides it."""
    env = dict(os.environ) if environ is None else environ
    if env.get("PULSE_DEMO_DATA"):
        return Path(env["PULSE_DEMO_DATA"])
    if env.get("ANDROID_PRIVATE"):  # python-for-android: this app's own storage
        return Path(env["ANDROID_PRIVATE"]) / "pulse-demo"
    home = Path(env.get("HOME") or Path.home())
    if platform == "ios":
        return home / "Documents" / "pulse-demo"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "pulse-demo"
    if platform == "win32":
        return Path(env.get("APPDATA") or home / "AppData" / "Roaming") / "pulse-demo"
    return Path(env.get("XDG_DATA_HOME") or home / ".local" / "share") / "pulse-demo"


def built_in_bundle() -> Path | None:
    """The bundle that needs no import: carried in the package, exported by `make app`, or shipped with edge_runtime."""
    candidates = (_CARRIED, Path.cwd() / _BUILT, PACKAGE.parent / _BUILT, PACKAGE.parent / "edge_runtime" / "nano")
    return next((folder for folder in candidates if (folder / "manifest.json").is_file()), None)
