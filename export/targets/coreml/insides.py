"""What a decoder's packages compute on the way, as the interpreter of export.mil sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines.coreml import CoreMLEngine
from export.certificate.insides import Insides
from export.mil import MilModel
from export.mil.package import Operation

# The integer products of a layer in the order in which export.targets.coreml.decoder computes them.
_ORDER = (
    *("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
)


def observe(bundle: Bundle, before: np.ndarray, embeds: np.ndarray) -> Insides:
    """What the packages make of embeds [S, D] after `before` [P, D], which they read first."""
    packages: list[MilModel] = []

    def load(path: Any) -> MilModel:
        packages.append(MilModel(path))
        return packages[-1]

    engine, found = CoreMLEngine(bundle, load), []
    _, cache = engine.decode(before, engine.empty_cache())

    def watch(operation: Operation, operands: dict[str, Any], result: Any) -> None:
        if operation.type == "linear":
            found.append((_rows(operands["x"]), _rows(np.asarray(result).astype(np.float16))))

    for package in packages:
        package.watch = watch
    logits, _ = engine.decode(embeds, cache)
    layers, total = bundle.manifest.inference.model.layers, len(before) + len(embeds)
    names = [f"layers.{layer}.{name}" for layer in range(layers) for name in _ORDER]
    products = dict(zip(names, found, strict=False))  # the head follows, which may be integers or not
    states = {name: state for each in engine.states for name, state in each.items()}
    return Insides(
        embeds=embeds,
        products=products,
        attended={layer: products[f"layers.{layer}.self_attn.o_proj"][0] for layer in range(layers)},
        kept=tuple(states[f"{kind}_{i}"][:, :, :total] for i in range(layers) for kind in ("key", "value")),
        logits=logits[None],
    )


def _rows(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.reshape(-1, array.shape[-1]), np.float32)
