"""Execution providers that come as a library beside ONNX Runtime, each in a Python package of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import onnxruntime as ort

from edge_runtime.errors import UserError, shorten


@dataclass(frozen=True)
class Plugin:
    """long: ONNX Runtime's name of the provider. package: what brings it. extra: ours that installs the package.
    drives: what it needs here, in words."""

    long: str
    package: str
    extra: str
    drives: str


# By what users call them.
PLUGINS = {
    "webgpu": Plugin("WebGpuExecutionProvider", "onnxruntime_ep_webgpu", "gpu", "GPU here; install the GPU's driver"),
    "qnn": Plugin("QNNExecutionProvider", "onnxruntime_qnn", "npu", "Hexagon here; x86 Linux has its simulator"),
}


@cache
def load_plugin(provider: str) -> ModuleType:
    """Make a provider of PLUGINS known to ONNX Runtime, and return its package. Raises UserError when it is not
    installed, cannot be loaded, or finds no device."""
    plugin = PLUGINS[provider]
    try:
        library = import_module(plugin.package)
    except ModuleNotFoundError:
        raise UserError(
            f"provider {provider} is not here; pip install 'pulse-edge[{plugin.extra}]', or choose another"
        ) from None
    try:
        ort.register_execution_provider_library(plugin.long, library.get_library_path())
    except Exception as error:  # the runtime's exceptions share no base class but Exception
        reason = shorten(str(error), 120)
        raise UserError(
            f"ONNX Runtime {ort.__version__} cannot load the provider {provider} ({reason}); install newer versions of "
            "both, or choose another"
        ) from None
    if not devices(plugin.long):
        raise UserError(f"provider {provider} finds no {plugin.drives}, or choose another")
    return library


def devices(long: str) -> list[ort.OrtEpDevice]:
    """What the provider that ONNX Runtime calls so can drive here."""
    return [device for device in ort.get_ep_devices() if device.ep_name == long]
