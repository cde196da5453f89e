"""QNN: Qualcomm's Hexagon NPU, as in the Snapdragon 8 Gen 3 (SM8650)."""

from __future__ import annotations

from typing import Any

from export.targets.executorch.delegate import Delegate


def _partitioner() -> Any:
    from executorch.backends.qualcomm.partition.qnn_partitioner import QnnPartitioner
    from executorch.backends.qualcomm.serialization.qc_schema import QcomChipset
    from executorch.backends.qualcomm.utils.utils import (
        generate_htp_compiler_spec,
        generate_qnn_executorch_compiler_spec,
    )

    options = generate_htp_compiler_spec(use_fp16=True)
    return QnnPartitioner(generate_qnn_executorch_compiler_spec(QcomChipset.SM8650, options))


DELEGATE = Delegate(
    "QnnBackend",
    _partitioner,
    ("$QNN_SDK_ROOT",),
    "install Qualcomm AI Engine Direct (the QNN SDK) and set QNN_SDK_ROOT to its folder",
)
