"""What is published of a phone or Jetson: a YAML file of figures, each with its source. Estimates start from these.

name and kind (jetson, android, iphone) must be there. Each of memory_gb, bandwidth_gb_s and int8_tops (dense) is
{value, source}. cores lists the big cores as {name, count, ghz, flops_per_cycle}, the last in float32, and
cores_source says where that stands. What nobody publishes is left out, and what needs it is then not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError, shorten

FOLDER = Path(__file__).parent / "profiles"
KINDS = ("jetson", "android", "iphone")
_FIGURES = ("memory_gb", "bandwidth_gb_s", "int8_tops")
_CORE = ("name", "count", "ghz", "flops_per_cycle")


@dataclass(frozen=True)
class Profile:
    """float32 GFLOP/s of the big cores, GB and GB/s; None for what is not published. sources: by figure."""

    name: str
    kind: str
    memory_gb: float | None
    bandwidth_gb_s: float | None
    int8_tops: float | None
    cpu_gflops: float | None
    sources: dict[str, str]
    note: str


def names() -> tuple[str, ...]:
    """The project's own device files."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def read_profile(name: str | Path) -> Profile:
    """A device file by its path, or by its name in FOLDER. Raises UserError for one that is not as it must be."""
    import yaml

    path = Path(name)
    if not path.is_file():
        path = FOLDER / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"device file {name}: is not there; give a path or one of {', '.join(names())}") from None
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML ({shorten(str(error))}); fix it") from None
    return _parse(path, found)


def _parse(path: Path, found: object) -> Profile:
    def wrong(what: str) -> UserError:
        return UserError(f"{path}: {what}; see benchmarks/estimate/profile.py for the format")

    if not isinstance(found, dict):
        raise wrong("is no mapping")
    unknown = sorted(set(map(str, found)) - {"name", "kind", "cores", "cores_source", "note", *_FIGURES})
    if unknown:
        raise wrong(f"{unknown[0]} is not known")
    if not isinstance(found.get("name"), str):
        raise wrong("name must be text")
    if found.get("kind") not in KINDS:
        raise wrong(f"kind must be one of {', '.join(KINDS)}")
    values: dict[str, float | None] = dict.fromkeys(_FIGURES)
    sources = {}
    for key in _FIGURES:
        if key in found:
            figure = found[key]
            if not isinstance(figure, dict) or figure.keys() != {"value", "source"}:
                raise wrong(f"{key} must be {{value, source}}")
            if not _number(figure["value"]) or not isinstance(figure["source"], str):
                raise wrong(f"{key} must be a number above 0 with a source in words")
            values[key], sources[key] = float(figure["value"]), figure["source"]
    gflops = None
    if "cores" in found:
        if not isinstance(found.get("cores_source"), str):
            raise wrong("cores need cores_source")
        gflops = _gflops(found["cores"])
        if gflops is None:
            raise wrong(f"cores must be a list of {{{', '.join(_CORE)}}}")
        sources["cpu_gflops"] = found["cores_source"]
    memory, bandwidth, tops = (values[key] for key in _FIGURES)
    note = str(found.get("note", ""))
    return Profile(found["name"], found["kind"], memory, bandwidth, tops, gflops, sources, note)


def _gflops(cores: Any) -> float | None:
    if not isinstance(cores, list) or not cores:
        return None
    for core in cores:
        if not isinstance(core, dict) or core.keys() != set(_CORE):
            return None
        if not isinstance(core["name"], str) or not all(_number(core[k]) for k in ("count", "ghz", "flops_per_cycle")):
            return None
    return float(sum(core["count"] * core["ghz"] * core["flops_per_cycle"] for core in cores))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
