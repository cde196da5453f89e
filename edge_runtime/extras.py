"""Which extra of the distribution brings a package that is missing, read from the distribution's own metadata."""

from __future__ import annotations

import re

from edge_runtime.errors import UserError

DISTRIBUTION = "pulse-edge"
# The folders that the distribution installs. A missing module of these is a fault of ours, not a missing extra.
PACKAGES = ("edge_runtime", "pulse", "quantize", "export", "distill", "benchmarks", "demo_app")
# What a command needs to do its work; the others run with the base install.
OF_COMMAND = {
    "pulse-bench": "bench",
    "pulse-demo": "demo",
    "pulse-distill": "train",
    "pulse-export": "export",
    "pulse-instruct": "instruct",
    "pulse-page": "ecg",
    "pulse-quantize": "export",
    "pulse-read": "archive",
    "pulse-serve": "serve",
    "pulse-verify": "export",
}
# Packages that are imported by another name than they are installed by.
_DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "llama_cpp": "llama-cpp-python",
    "PIL": "pillow",
    "yaml": "pyyaml",
}
# These gather other extras, so they would install more than what is missing.
_GATHERING = ("all", "dev")
_REQUIREMENT = re.compile(r"""([\w.-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;.*\bextra == ['"]([\w-]+)['"])?""")


def missing_package(error: ModuleNotFoundError, command: str) -> UserError | None:
    """What to say when a package that `command` needs is not installed; None when the module is one of ours."""
    package = (error.name or "").split(".")[0]
    if not package or package in PACKAGES:
        return None
    extra = extra_of(_DISTRIBUTIONS.get(package, package), OF_COMMAND.get(command))
    what = f"{DISTRIBUTION}[{extra}]" if extra else _DISTRIBUTIONS.get(package, package)
    return UserError(f"needs the package {package}, which is not installed; pip install '{what}'")


def extra_of(distribution: str, preferred: str | None) -> str | None:
    """The extra that installs a distribution: the preferred one if it does, or if no extra names the distribution (then
    it comes with another package); otherwise the first that names it, for pyproject.toml lists the lightest first."""
    extras = _extras()
    name = _plain(distribution)
    naming = [extra for extra, names in extras.items() if name in names and extra not in _GATHERING]
    if not naming or (preferred in extras and name in _with_parts(preferred, extras)):
        return preferred
    return naming[0]


def _extras() -> dict[str, set[str]]:
    """What each extra names itself: distributions, and other extras of ours as "pulse-edge[NAME]". Empty for a source
    tree that is not installed."""
    from importlib import metadata  # slow to import, and only needed once something is missing

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    extras: dict[str, set[str]] = {}
    for line in lines:
        found = _REQUIREMENT.match(line)
        if found and found[3]:
            parts = [part.strip() for part in (found[2] or "").split(",")]
            own = _plain(found[1]) == DISTRIBUTION
            names = {f"{DISTRIBUTION}[{part}]" for part in parts} if own else {_plain(found[1])}
            extras.setdefault(found[3], set()).update(names)
    return extras


def _with_parts(extra: str, extras: dict[str, set[str]]) -> set[str]:
    """All distributions that an extra names, itself or through other extras of ours."""
    names = extras.get(extra, set())
    own = {name for name in names if name.startswith(f"{DISTRIBUTION}[")}
    return (names - own).union(*(_with_parts(name[len(DISTRIBUTION) + 1 : -1], extras) for name in own))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
