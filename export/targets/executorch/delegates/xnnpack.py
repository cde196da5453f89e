"""XNNPACK: the CPUs of phones and of this machine."""

from __future__ import annotations

from typing import Any

from export.targets.executorch.delegate import Delegate


def _partitioner() -> Any:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return XnnpackPartitioner()


DELEGATE = Delegate("XnnpackBackend", _partitioner, quantize_activations=True, own_attention=True)
