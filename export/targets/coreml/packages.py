"""Target "coreml": a model as Core ML packages for iOS 18 and macOS 15, vision, embed and decoder.

Computation is in float16, as every Apple GPU and Neural Engine does it, but for the root-mean-square norms' statistics,
which overflow float16 in trained 7B models. States are float16: Core ML has no others. With weights "float32" all but
the states is float32, for comparison; only CPUs run that fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge_runtime.engines.coreml import STEP
from export.graph.parts import EmbedGraph, VisionGraph, forget, layer_chunks, widen
from export.targets.coreml import PACKAGE_BYTES
from export.targets.coreml import lint as coreml_lint
from export.targets.coreml.decoder import StatefulDecoder
from export.targets.coreml.readme import write_readme
from export.targets.coreml.tools import quiet_coremltools
from pulse.model.config import Config
from pulse.model.llava import Llava

_ANY = torch.export.Dim.DYNAMIC


def write_graphs(
    model: Llava, config: Config, weights: str, folder: Path, package_bytes: int = PACKAGE_BYTES
) -> dict[str, str]:
    """Write vision, embed and decoder packages and README.md into `folder`; returns the manifest's artifacts.

    A decoder of more than `package_bytes` becomes decoder_0, decoder_1 ... by layers. vision takes one tile, embed and
    decoder 1 to STEP positions. Uses `model` up. Raises UserError when coremltools is missing or the lint finds what no
    device loads.
    """
    coreml_lint.check_weights(weights)
    text, vision = config.text, config.vision
    half = weights != "float32"
    step = min(STEP, text.max_position_embeddings)
    with quiet_coremltools() as ct:
        import export.targets.coreml.ints  # noqa: F401  (teaches the converter our operators)

        size, number = np.float16 if half else np.float32, ct.TensorType
        rows, ends = ct.RangeDim(1, step, 5), ct.RangeDim(1, text.max_position_embeddings, 9)

        def write(graph: nn.Module, example: Any, dynamic: Any, inputs: list[Any], output: str, name: str) -> None:
            exported = torch.export.export(graph.eval(), example, dynamic_shapes=dynamic, strict=False)
            program = exported.run_decompositions({})
            coreml_lint.check_program(program)
            package = ct.convert(
                program,
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS18,
                compute_precision=_precision(ct, half),
                inputs=inputs,
                outputs=[number(output, dtype=size)],
                skip_model_load=True,
            )
            package.save(str(folder / name))

        widen(model.vision_tower, model.multi_modal_projector)
        pixels = (1, vision.in_channels, vision.height, vision.width)
        write(
            VisionGraph(model),
            (torch.zeros(pixels),),
            None,
            [number("pixels", shape=pixels, dtype=size)],
            "features",
            "vision.mlpackage",
        )
        forget(model.vision_tower, model.multi_modal_projector)
        backbone = model.language_model.model
        ids = torch.zeros(1, 5, dtype=torch.int32)
        ids_type = number("input_ids", shape=(1, rows), dtype=np.int32)
        write(EmbedGraph(model), (ids,), ({1: _ANY},), [ids_type], "embeds", "embed.mlpackage")
        forget(backbone.embed_tokens)
        chunks = layer_chunks(text, weights, package_bytes)
        artifacts = {"vision": "vision.mlpackage", "embed": "embed.mlpackage"}
        for i, layers in enumerate(chunks):
            parts = [backbone.layers[k] for k in layers]
            if layers.stop == text.num_hidden_layers:
                parts.append(backbone.norm)
            # The head stays float16, which it is computed in: the converter makes many copies of a float32 one.
            widen(*parts)
            name = "decoder" if len(chunks) == 1 else f"decoder_{i}"
            # Traced with sizes that are not 0 or 1, which torch.export would take for constants.
            write(
                StatefulDecoder(model, layers),
                (torch.zeros(1, 5, text.hidden_size), torch.zeros(1, 1, 5, 9)),
                ({1: _ANY}, {2: _ANY, 3: _ANY}),
                [
                    number("embeds", shape=(1, rows, text.hidden_size), dtype=size),
                    number("mask", shape=(1, 1, rows, ends), dtype=size),
                ],
                "logits" if layers.stop == text.num_hidden_layers else "hidden",
                f"{name}.mlpackage",
            )
            forget(*parts)
            artifacts[name] = f"{name}.mlpackage"
    _tidy(folder)
    decoders = [file for name, file in artifacts.items() if name.startswith("decoder")]
    write_readme(folder, config, decoders, half, coreml_lint.warnings(config))
    return artifacts


def _precision(ct: Any, half: bool) -> Any:
    return ct.transform.FP16ComputePrecision(op_selector=_in_float16) if half else ct.precision.FLOAT32


def _in_float16(op: Any) -> bool:
    """Whether an operation computes in float16: all but square, mean and sum on the way to a root-mean-square."""
    return not _leads_to_rsqrt(op, 3)


def _leads_to_rsqrt(op: Any, steps: int) -> bool:
    if op.op_type == "rsqrt":
        return True
    return steps > 0 and any(_leads_to_rsqrt(c, steps - 1) for out in op.outputs for c in out.child_ops)


def _tidy(folder: Path) -> None:
    """A bundle is for devices and for all who may read the folder: coremltools writes private files and debug maps."""
    for path in folder.glob("*.mlpackage/*_debug_handle_mapping.json"):
        path.unlink()
    for path in folder.glob("*.mlpackage/**/*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
