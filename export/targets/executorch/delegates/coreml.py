"""Core ML: Apple's CPU, GPU and Neural Engine."""

from __future__ import annotations

from typing import Any

from export.targets.executorch.delegate import Delegate


def _partitioner() -> Any:
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    # iOS 18 is the first with 4-bit weights in blocks and with state.
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    return CoreMLPartitioner(compile_specs=specs)


DELEGATE = Delegate("CoreMLBackend", _partitioner, ("coremltools",))
