"""A phone in Qualcomm's farm: aihub://DEVICE NAME, through qai-hub, which needs the token of an account there.

The farm times one graph with inputs of its own making: no page is read and no answer comes back. So the figures are
the vision tower's time and, from the decoder's for one token, tokens a second; the others are missing. What is called
is held against qai-hub's own signatures; on the farm it is not_run by this project.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import onnx
from onnx import helper

from edge_runtime import image
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError, shorten
from edge_runtime.preprocess import draft_size, pixels

_CONTEXT = 256  # positions before the token that is timed
_COMPILE = "--target_runtime onnx"

Specs = dict[str, tuple[tuple[int, ...], str]]


class AiHub:
    """See benchmarks.devices.Device. hub: the module qai_hub."""

    evidence = "measured"

    def __init__(self, name: str, hub: Any) -> None:
        self._name, self._hub = name, hub
        found = self._ask(lambda: hub.get_devices(name=name))
        if not found:
            raise UserError(f"device aihub://{name}: the farm has none of that name; see qai-hub list-devices")
        self._device = found[-1]  # of several versions of its system the newest

    def about(self) -> dict[str, Any]:
        device = self._device
        attributes = [device.attributes] if isinstance(device.attributes, str) else list(device.attributes)
        return {"model": device.name, "os": device.os, "attributes": attributes, "qai_hub": self._hub.__version__}

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """warm: vision_ms and decode_tokens_per_s, one value an inference there; options but --runs are refused.

        Raises UserError for a bundle that is not in standard operators, and when a job fails.
        """
        chosen = [word for word in options if word.startswith("--") and word != "--runs"]
        if chosen:
            raise UserError(f"device aihub://{self._name}: the farm takes no {chosen[0]}; leave it out")
        loaded = Bundle.load(bundle)
        spec = loaded.manifest.inference.preprocess
        tiles = len(pixels(image.load(picture, draft=draft_size(spec)), spec))
        vision = self.times(loaded.path("vision"), {"pixels": tiles})
        decode = self.times(loaded.path("decoder"), {"embeds": 1, "past": _CONTEXT})
        warm = {"vision_ms": [us / 1e3 for us in vision], "decode_tokens_per_s": [1e6 / us for us in decode]}
        return {"warm": warm, "prompt_positions": _CONTEXT}

    def close(self) -> None:
        """Jobs end by themselves."""

    def times(self, path: Path, sizes: dict[str, int]) -> list[int]:
        """Microseconds of each inference."""
        specs = input_specs(path, sizes)
        job = self._ask(
            lambda: self._hub.submit_compile_job(
                model=str(path), device=self._device, name=path.stem, input_specs=specs, options=_COMPILE
            )
        )
        target = self._ask(job.get_target_model)
        if target is None:
            raise UserError(f"{path}: the farm did not compile it; its log is at {job.url}")
        timed = self._ask(
            lambda: self._hub.submit_inference_job(model=target, device=self._device, name=path.stem, profile=True)
        )
        found = self._ask(timed.download_profile).get("execution_summary", {})
        times = found.get("all_inference_times") or [found.get("estimated_inference_time")]
        if not all(times):
            raise UserError(f"{path}: the farm did not run it; its log is at {timed.url}")
        return [int(time) for time in times]

    def _ask(self, call: Any) -> Any:
        """The farm's own refusals as one line."""
        try:
            return call()
        except self._hub.client.Error as error:
            said = next((line.strip(" |") for line in str(error).splitlines() if line.strip(" |┌─┐")), "refused")
            raise UserError(f"device aihub://{self._name}: {said}; is there a token (qai-hub configure)?") from None


def input_specs(path: Path, sizes: dict[str, int]) -> Specs:
    """What qai-hub wants to know of an ONNX graph's inputs: fixed shapes and types. sizes: as graph_work's.

    Raises UserError for a graph in ONNX Runtime's own operators, which the farm does not compile.
    """
    graph = onnx.load(str(path), load_external_data=False).graph
    if any(node.domain == "com.microsoft" for node in graph.node):
        raise UserError(f"{path}: is in ONNX Runtime's own operators; export with --onnx-style qdq")
    specs: Specs = {}
    for value in graph.input:
        kind = value.type.tensor_type
        size = sizes.get("past" if value.name.startswith("past_") else value.name, 1)
        shape = tuple(size if dim.dim_param else dim.dim_value for dim in kind.shape.dim)
        specs[value.name] = shape, helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return specs


def open_device(address: str) -> AiHub:
    """What the registry calls. Raises UserError without qai-hub, without a token, or without such a device."""
    name = unquote(address.removeprefix("aihub://"))
    if not name:
        raise UserError("device aihub://: has no name; write one of qai-hub list-devices after it")
    try:
        import qai_hub
    except ImportError as error:
        raise UserError(
            f"device aihub://{name}: {shorten(str(error))}; pip install 'pulse-edge[aihub]' in an environment of its "
            "own, for qai-hub needs an older protobuf"
        ) from None
    return AiHub(name, qai_hub)
