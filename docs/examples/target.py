"""Target "pt2": a model as three programs of torch.export. Put it into export/targets/ as pt2.py.

It needs engine.py beside it, as edge_runtime/engines/pt2.py: that is what runs the bundles, and their certificate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UserError
from export.certificate.tolerance import EXACT
from export.target import Job, Memory, OwnOptions, Target

if TYPE_CHECKING:
    from pulse.model.llava import Llava


def _check(job: Job[OwnOptions]) -> None:
    if job.weights not in ("float16", "float32"):
        raise UserError(f"target pt2 has no form for {job.weights} weights; use --weights float32")


def _write(job: Job[OwnOptions], model: Llava, folder: Path) -> dict[str, str]:
    import torch  # `pulse-export --help` reads this file: what is heavy is imported where it is used

    from export.graph.parts import DecoderGraph, EmbedGraph, VisionGraph, widen

    widen(model)
    vision, text, any_length = job.config.vision, job.config.text, torch.export.Dim.DYNAMIC
    shape = (1, text.num_key_value_heads, 7, text.head_dim)
    past = [torch.zeros(shape) for _ in range(2 * text.num_hidden_layers)]
    tile = torch.zeros(1, vision.in_channels, vision.height, vision.width)
    embeds, ids = torch.zeros(1, 5, text.hidden_size), torch.zeros(1, 5, dtype=torch.long)
    graphs = {
        "vision": (VisionGraph(model), (tile,), None),
        "embed": (EmbedGraph(model), (ids,), ({1: any_length},)),
        "decoder": (DecoderGraph(model), (embeds, *past), ({1: any_length}, tuple({2: any_length} for _ in past))),
    }
    with torch.no_grad():
        for name, (graph, example, dynamic) in graphs.items():
            program = torch.export.export(graph.eval(), example, dynamic_shapes=dynamic)
            torch.export.save(program, folder / f"{name}.pt2")
    return {name: f"{name}.pt2" for name in graphs}


TARGET = Target(
    title="programs of torch.export",
    options=OwnOptions,  # a subclass with fields, and add_options, where a target has options of its own
    check=_check,
    write=_write,
    tolerance=lambda job: EXACT,
    memory=Memory(floats=2.0, converting=0, together=0, whole_context=False),
    packages=(),
)
