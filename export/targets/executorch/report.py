"""delegation.json of an ExecuTorch bundle: what share of each method the delegate took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from export.target import Report

DELEGATION = "delegation.json"


@dataclass(frozen=True)
class Share:
    """Operations and MACs of one method, in all and in the delegate, for the lengths it was traced with."""

    ops: int
    delegated_ops: int
    macs: int
    delegated_macs: int

    def __str__(self) -> str:
        macs = f"{self.delegated_macs / self.macs:.1%} of its {self.macs / 1e6:.1f} M MACs" if self.macs else "no MACs"
        return f"{self.delegated_ops} of {self.ops} operations, {macs}"


def write_shares(folder: Path, delegate: str, backend: str, shares: Mapping[str, Share]) -> None:
    """Write delegation.json: the delegate, its name in ExecuTorch's runtime, and each method's share."""
    methods = {name: asdict(value) for name, value in shares.items()}
    report = {"delegate": delegate, "backend": backend, "methods": methods}
    (folder / DELEGATION).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def read_shares(bundle: Path) -> list[tuple[str, str, Share]]:
    """(delegate, method, its share) of an exported bundle."""
    report = json.loads((bundle / DELEGATION).read_text(encoding="utf-8"))
    return [(report["delegate"], method, Share(**counts)) for method, counts in report["methods"].items()]


def report_of(bundle: Path) -> Report:
    """A line a method, and delegation.json as it is."""
    lines = [f"{method} in {delegate}: {share}" for delegate, method, share in read_shares(bundle)]
    return Report(lines, {"delegation": json.loads((bundle / DELEGATION).read_text(encoding="utf-8"))})
