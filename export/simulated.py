"""Vendors' simulators of chips that are not here, by the names that --simulated takes: each target says its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.registry import Registry
from export.target import TARGETS, Target, find


def simulators(targets: Registry[Target[Any]] = TARGETS) -> dict[str, str]:
    """Chip -> the target whose bundles its simulator runs."""
    return {target.simulator: name for name, target in targets.all() if target.simulator}


def check_simulated(wanted: str, bundles: Iterable[Bundle], targets: Registry[Target[Any]] = TARGETS) -> str:
    """What runs such bundles here. Raises UserError for a bundle that the simulator of `wanted` does not run, and where
    that is not."""
    able = simulators(targets)[wanted]
    for bundle in bundles:
        if bundle.manifest.target != able:
            raise UserError(
                f"{bundle.folder}: {wanted} is simulated for bundles of target {able}, and this one's is "
                f"{bundle.manifest.target}; leave --simulated out"
            )
    runner = find(able, targets).runner()
    if runner.evidence != "simulated":
        raise UserError(
            f"--simulated {wanted}: its simulator is not on this machine; install it (docs/qnn.md), or leave it out"
        )
    return runner.by
