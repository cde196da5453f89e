"""Target "coreai": a model as three Core AI assets, vision, embed and decoder, with lengths that are dynamic.

All computes in float32. Integers stay the checkpoint's own; a token table in float16 is widened row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.graph.parts import DecoderGraph, EmbedGraph, VisionGraph, forget, widen
from export.targets.coreai.ints import use_core_ai_integers
from export.targets.coreai.lint import check_program
from export.targets.coreai.pools import POOL, pool_with_its_windows
from export.targets.coreai.readme import write_readme
from export.targets.coreai.tools import quiet
from pulse.model.config import Config
from pulse.model.llava import Llava

_ANY = torch.export.Dim.DYNAMIC


def write_graphs(model: Llava, config: Config, weights: str, folder: Path) -> dict[str, str]:
    """Write vision.aimodel, embed.aimodel, decoder.aimodel and README.md into `folder`; returns the manifest's
    artifacts.

    vision takes one tile; embed and decoder any number of positions, the decoder any length of past, 0 too. Uses
    `model` up. Raises UserError for what the lint finds.
    """
    text, vision = config.text, config.vision
    use_core_ai_integers(model)
    widen(model.vision_tower, model.multi_modal_projector)
    pixels = torch.zeros(1, vision.in_channels, vision.height, vision.width)
    _write(VisionGraph(model), (pixels,), None, ["pixels"], ["features"], folder / "vision.aimodel")
    forget(model.vision_tower, model.multi_modal_projector)
    language = model.language_model
    embed = EmbedGraph(model)
    if weights != "float32" and isinstance(embed.table, nn.Embedding):
        embed.table = nn.Embedding.from_pretrained(embed.table.weight.half(), freeze=True)
    ids = torch.zeros(1, 5, dtype=torch.int32)
    _write(embed, (ids,), ({1: _ANY},), ["input_ids"], ["embeds"], folder / "embed.aimodel")
    widen(language.model.layers, language.model.norm, language.lm_head)
    names = [f"{kind}_{i}" for i in range(text.num_hidden_layers) for kind in ("key", "value")]
    # Traced with sizes that are not 0 or 1, which torch.export would take for constants.
    past = [torch.zeros(1, text.num_key_value_heads, 7, text.head_dim) for _ in names]
    example = (torch.zeros(1, 5, text.hidden_size), *past)
    lengths = ({1: _ANY}, tuple({2: _ANY} for _ in past))
    inputs, outputs = [f"past_{name}" for name in names], [f"present_{name}" for name in names]
    path = folder / "decoder.aimodel"
    _write(DecoderGraph(model), example, lengths, ["embeds", *inputs], ["logits", *outputs], path)
    forget(language.model.layers, language.lm_head)
    write_readme(folder, config)
    return {name: f"{name}.aimodel" for name in ("vision", "embed", "decoder")}


def _write(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    dynamic: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
) -> None:
    with quiet(), torch.no_grad():
        from coreai_torch import TorchConverter, get_decomp_table

        exported = torch.export.export(graph.eval(), example, dynamic_shapes=dynamic, strict=False)
        program = exported.run_decompositions({**get_decomp_table(), POOL: pool_with_its_windows})
        check_program(program)
        converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
        converter.add_exported_program(program, input_names=inputs, output_names=outputs)
        converter.to_coreai().save_asset(path)
