"""Vulkan: the GPUs of Android phones."""

from __future__ import annotations

from typing import Any

from export.targets.executorch.delegate import Delegate


def _partitioner() -> Any:
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

    return VulkanPartitioner({"require_dynamic_shapes": True})


DELEGATE = Delegate("VulkanBackend", _partitioner, quantize_activations=True)
