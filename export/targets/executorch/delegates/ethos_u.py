"""Ethos-U: ARM's NPUs for microcontrollers."""

from __future__ import annotations

from typing import Any

from export.targets.executorch.delegate import Delegate


def _partitioner() -> Any:
    from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner

    return EthosUPartitioner(EthosUCompileSpec("ethos-u85-256"))


DELEGATE = Delegate(
    "EthosUBackend", _partitioner, ("ethosu.vela", "tosa_serializer"), "pip install ethos-u-vela tosa-tools"
)
