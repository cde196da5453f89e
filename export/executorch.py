"""Target "executorch": a model as one .pte program that ExecuTorch's stock multimodal runners load.

Methods, inputs and metadata follow the runner's C++ (extension/llm/runner of pytorch/executorch, 1.5): vision_encoder
on one picture, token_embedding on token ids, text_decoder on embeddings and their positions, with the KV cache as
mutable buffers inside the program. Preprocessing is the caller's: pixels come in as the bundle's manifest says.

Weights: 4-bit layers keep the checkpoint's integers. XNNPACK stores their scales as bfloat16 and rounds activations to
8 bits a token as it goes ("8da4w"); Core ML takes the integers alone. The token table is float16 unless float32 was
asked for; all other weights are float32, which is what these delegates compute with.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_runtime.errors import UserError
from export.delegation import Share, share
from export.executorch_decoder import CachedDecoder
from export.graphs import EmbedGraph, VisionGraph
from export.intx import use_intx
from export.stateful import StatefulDecoder
from export.verify import EIGHT_BIT_ACTIVATIONS, EXACT, Limits
from pulse.model.config import Config
from pulse.model.llama import LanguageModel
from pulse.model.llava import Llava

PROGRAM, DELEGATION = "model.pte", "delegation.json"
# The most positions one call takes: memory is planned for them, and a 7B's for its whole context would be gigabytes.
# One tile of LLaVA's, 576 tokens, fits.
STEP = 1024
_EXTRA = "pip install pulse-edge[targets]"
# Traced length: neither 0 nor 1, which torch.export takes for constants.
_EXAMPLE = 8


def limits(config: Config, weights: str) -> Limits:
    """What a certificate allows: integer weights meet activations of 8 bits."""
    return EIGHT_BIT_ACTIVATIONS if weights in ("int4", "int8") else EXACT


@dataclass(frozen=True)
class Delegate:
    """What lowers the graphs for a kind of processor.

    backend: its name in ExecuTorch's runtime. needs: modules without which it cannot lower, and the mend.
    quantize_activations: whether its 4-bit operator wants int8 activations. decoder: the module that keeps the cache.
    """

    backend: str
    partitioner: Callable[[], Any]
    needs: tuple[str, ...] = ()
    mend: str = _EXTRA
    quantize_activations: bool = False
    decoder: Callable[[LanguageModel, int], nn.Module] = StatefulDecoder


def _xnnpack() -> Any:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return XnnpackPartitioner()


def _coreml() -> Any:
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    # iOS 18 is the first with 4-bit weights in blocks and with state.
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    return CoreMLPartitioner(compile_specs=specs)


def _vulkan() -> Any:
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

    return VulkanPartitioner({"require_dynamic_shapes": True})


def _openvino() -> Any:
    from executorch.backends.openvino.partitioner import OpenvinoPartitioner
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    return OpenvinoPartitioner([CompileSpec("device", b"CPU")])


def _qnn() -> Any:
    from executorch.backends.qualcomm.partition.qnn_partitioner import QnnPartitioner
    from executorch.backends.qualcomm.serialization.qc_schema import QcomChipset
    from executorch.backends.qualcomm.utils.utils import (
        generate_htp_compiler_spec,
        generate_qnn_executorch_compiler_spec,
    )

    options = generate_htp_compiler_spec(use_fp16=True)
    return QnnPartitioner(generate_qnn_executorch_compiler_spec(QcomChipset.SM8650, options))


def _ethos_u() -> Any:
    from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner

    return EthosUPartitioner(EthosUCompileSpec("ethos-u85-256"))


DELEGATES = {
    "xnnpack": Delegate("XnnpackBackend", _xnnpack, quantize_activations=True, decoder=CachedDecoder),
    "coreml": Delegate("CoreMLBackend", _coreml, ("coremltools",)),
    "vulkan": Delegate("VulkanBackend", _vulkan, quantize_activations=True),
    "qnn": Delegate(
        "QnnBackend",
        _qnn,
        ("$QNN_SDK_ROOT",),
        "install Qualcomm AI Engine Direct (the QNN SDK) and set QNN_SDK_ROOT to its folder",
    ),
    "openvino": Delegate("OpenvinoBackend", _openvino, ("openvino", "nncf"), "pip install openvino nncf"),
    "ethos-u": Delegate(
        "EthosUBackend", _ethos_u, ("ethosu.vela", "tosa_serializer"), "pip install ethos-u-vela tosa-tools"
    ),
}


def check_delegate(name: str) -> None:
    """Raises UserError when `name` is no delegate, or what it needs to lower a model is not installed here."""
    if name not in DELEGATES:
        raise UserError(f"delegate {name} is not available; this version lowers to {', '.join(DELEGATES)}")
    for need in ("executorch", "torchao"):
        if not _present(need):
            raise UserError(f"target executorch needs {need}, which is not installed; {_EXTRA}")
    delegate = DELEGATES[name]
    missing = [need for need in delegate.needs if not _present(need)]
    if missing:
        raise UserError(f"delegate {name} cannot be lowered here, {missing[0]} is missing; {delegate.mend}")


def _present(need: str) -> bool:
    """A module that can be imported, or an environment variable ("$NAME") that names a folder."""
    if need.startswith("$"):
        folder = os.environ.get(need[1:], "")
        return folder != "" and Path(folder).is_dir()
    try:
        return importlib.util.find_spec(need) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def write_graphs(model: Llava, config: Config, weights: str, folder: Path, delegate: str = "xnnpack") -> dict[str, str]:
    """Write model.pte and delegation.json into `folder`; returns the manifest's artifacts.

    One picture and one conversation at a time: pixels [1, C, H, W] and batch 1. A call of token_embedding or
    text_decoder takes up to get_max_seq_len positions. Changes the layers of `model`. Raises UserError as
    check_delegate does, and when the delegate cannot lower the model.
    """
    check_delegate(delegate)
    chosen = DELEGATES[delegate]
    use_intx(model, chosen.quantize_activations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        programs = _trace(model, config, weights, chosen)
        data, shares = _lower(programs, _metadata(config, chosen), chosen, delegate)
    with (folder / PROGRAM).open("wb") as file:
        data.write_to_file(file)
    report = {
        "delegate": delegate,
        "backend": chosen.backend,
        "methods": {name: asdict(value) for name, value in shares.items()},
    }
    (folder / DELEGATION).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return {"program": PROGRAM, "delegation": DELEGATION}


def read_shares(bundle: Path) -> list[tuple[str, str, Share]]:
    """(delegate, method, its share) of an exported bundle; empty for other targets."""
    if not (bundle / DELEGATION).is_file():
        return []
    report = json.loads((bundle / DELEGATION).read_text(encoding="utf-8"))
    return [(report["delegate"], method, Share(**counts)) for method, counts in report["methods"].items()]


def _trace(model: Llava, config: Config, weights: str, chosen: Delegate) -> dict[str, torch.export.ExportedProgram]:
    vision, text = config.vision, config.text
    length = text.max_position_embeddings
    step = min(STEP, length)
    embed = EmbedGraph(model)
    if weights != "float32" and isinstance(embed.table, torch.nn.Embedding):
        # Its own copy: a decoder that shares the table with its head keeps it in float32.
        embed.table = torch.nn.Embedding.from_pretrained(embed.table.weight.half(), freeze=True)
    positions = torch.export.Dim("positions", min=1, max=step)
    ids = torch.export.Dim("ids", min=1, max=step)
    pixels = torch.zeros(1, vision.in_channels, vision.height, vision.width)
    embeds, places = torch.zeros(1, _EXAMPLE, text.hidden_size), torch.arange(_EXAMPLE)
    with torch.no_grad():
        return {
            "vision_encoder": torch.export.export(VisionGraph(model).eval(), (pixels,)),
            "token_embedding": torch.export.export(
                embed.eval(), (torch.zeros(1, _EXAMPLE, dtype=torch.long),), dynamic_shapes=({1: ids},)
            ),
            "text_decoder": torch.export.export(
                chosen.decoder(model.language_model, length).eval(),
                (embeds, places),
                dynamic_shapes=({1: positions}, {0: positions}),
            ),
        }


def _metadata(config: Config, chosen: Delegate) -> dict[str, Any]:
    """The runner's constant methods; names from extension/llm/runner/constants.h."""
    length, runtime = config.text.max_position_embeddings, config.runtime
    constants = {
        "get_max_seq_len": min(STEP, length),
        "get_max_context_len": length,
        "get_vocab_size": config.text.vocab_size,
        "use_kv_cache": True,
        "use_sdpa_with_kv_cache": chosen.decoder is CachedDecoder,
        "enable_dynamic_shape": True,
        "get_eos_ids": list(runtime.get("eos_token_ids", ())),
    }
    if runtime.get("bos_token_id") is not None:
        constants["get_bos_id"] = runtime["bos_token_id"]
    return constants


def _lower(
    programs: dict[str, torch.export.ExportedProgram], constants: dict[str, Any], chosen: Delegate, name: str
) -> tuple[Any, dict[str, Share]]:
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass

    logging.getLogger("executorch").setLevel(logging.ERROR)
    try:
        edge = to_edge_transform_and_lower(
            programs, partitioner={method: [chosen.partitioner()] for method in programs}, constant_methods=constants
        )
    except Exception as error:  # a delegate's compiler may raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"delegate {name} cannot lower this model ({type(error).__name__}: {reason}); use --delegate xnnpack"
        ) from error
    shares = {method: share(edge.exported_program(method)) for method in programs}
    # Inputs are the caller's own memory; outputs are planned, since the C++ runner hands in none.
    planning = MemoryPlanningPass(alloc_graph_input=False)
    # In place: without it every call copies each layer's whole cache twice.
    config = ExecutorchBackendConfig(memory_planning_pass=planning, run_reinplace_pass=True)
    return edge.to_executorch(config), shares
