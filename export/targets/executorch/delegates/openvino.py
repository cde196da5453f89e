"""OpenVINO: Intel's processors."""

from __future__ import annotations

from typing import Any

from export.targets.executorch.delegate import Delegate


def _partitioner() -> Any:
    from executorch.backends.openvino.partitioner import OpenvinoPartitioner
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    return OpenvinoPartitioner([CompileSpec("device", b"CPU")])


DELEGATE = Delegate("OpenvinoBackend", _partitioner, ("openvino", "nncf"), "pip install openvino nncf")
