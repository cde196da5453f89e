"""Does a bundle answer on ARM's kernels as it does on this machine's? Emulated: results count, times say nothing.

The runtime's own aarch64 wheels run in export.certificate.userland's QEMU on the golden pages, stage by stage as in the
certificate, and are held against the same wheels' x86 (or whatever this machine is) kernels under its thresholds.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from export.certificate.certify import Emulated, checks, compare
from export.certificate.stage import Stage
from export.certificate.stages import key, results
from export.certificate.tolerance import EXACT, Tolerance
from export.certificate.userland import Userland
from export.target import TARGETS, Target, find


def emulate(bundle: Bundle, userland: Userland, pages: Sequence[Path], tolerance: Tolerance = EXACT) -> Emulated:
    """Run every stage on `pages` on both sides and compare; about 20 s a page for pulse-nano.

    A bundle that fails there is a failure of every stage, with its reason. Raises UserError when there are no pages,
    or the bundle is not ONNX Runtime's or does not run here either.
    """
    check_emulated(find(bundle.manifest.target))
    if not pages:
        raise UserError("there are no pages to emulate with; give a folder of ECG pages")
    native = results(bundle, pages)
    about = {
        "processor": f"aarch64 {userland.about['cpu']}",
        "emulator": userland.about["qemu"]["version"],
        "reference": f"this machine's {platform.machine()} kernels",
        "python": userland.about["python"],
        "packages": userland.about["wheels"],  # the native side's are the same, or open_userland refuses
        "pages": [page.name for page in pages],
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.npz"
        paths = [str(path.resolve()) for path in (bundle.folder, out, *pages)]
        done = userland.run("-m", "export.certificate.stages", *paths)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            stages = tuple(Stage(c.stage, c.measure, c.threshold, None, "fail", reason[0]) for c in checks(tolerance))
            return Emulated(about, stages)
        with np.load(out) as file:
            got = dict(file)

    def of(side: dict[str, np.ndarray], stage: str) -> Callable[[Path], np.ndarray]:
        return lambda page: side[key(stage, page)]

    found = (compare(c, of(got, c.stage), of(native, c.stage), pages) for c in checks(tolerance))
    return Emulated(about, tuple(found))


def check_emulated(target: Target[Any]) -> None:
    """Raises UserError when bundles for `target` cannot be emulated."""
    if not target.emulated:
        able = ", ".join(name for name, one in TARGETS.all() if one.emulated)
        raise UserError(
            f"only bundles for {able} are emulated, and this one's target is {target.name}; leave --emulated out"
        )
