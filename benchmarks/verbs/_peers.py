"""Speed beside llama.cpp: the same integers in both, taken in turn on the same cores, and the memory's own speed.

The decoder has the shapes of a 7B LLaVA with fewer layers (random weights, int4-g32, head included), so a step costs
per layer what it costs in the whole. Decoding reads every weight once a token: its share of the memory's bandwidth says
how much is left to gain.
"""

from __future__ import annotations

import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from export.manifest import manifest_of
from export.target import find
from export.targets.executorch import program as executorch
from export.targets.onnx import graphs as onnx
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.model.config import Config, Decoder
from pulse.model.llama import RMSNorm
from pulse.model.llava import Llava
from pulse.model.towers.conv import ConvVision
from quantize.layers import quantized
from quantize.precision import Precision
from quantize.scheme import Scheme

_MISSING = "llama-cpp-python or gguf is not installed; pip install pulse-edge[peers] (it compiles llama.cpp)"
_READ = 1 << 30  # bytes, far more than any cache
# What runs beside llama.cpp, in this order.
TARGETS: dict[str, Callable[..., dict[str, str]]] = {"executorch": executorch.write_graphs, "onnx": onnx.write_graphs}


@dataclass(frozen=True)
class Plan:
    """prefill: prompt lengths in tokens; decode: tokens after each; layers: of the 7B's 32; rounds of all of them."""

    layers: int = 8
    prefill: tuple[int, ...] = (256, 2880)
    decode: int = 32
    threads: int = 2
    rounds: int = 3


# Reads a prompt of so many tokens, then decodes so many: seconds of either.
Run = Callable[[int, int], tuple[float, float]]


def decoder_of_7b(layers: int) -> tuple[Llava, Config]:
    """Random 4-bit weights in the shapes of Llama-2-7B's decoder, cut to so many layers; one layer is ever float."""
    text = Decoder(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=32,
        head_dim=128,
        max_position_embeddings=4096,
    )
    # The picture's side is not measured here, so the smallest there is, and pulse-nano's way of using it.
    vision = ConvVision(height=32, width=32, channels=(8, 16), blocks=(0, 1), pool=1)
    nano = Checkpoint.open(NANO).config
    config = replace(nano.resized(vision, text), name=f"7B-{layers}-layers", extra={})
    with torch.device("meta"):
        model = Llava(config)
    model.vision_tower.to_empty(device="cpu")
    torch.manual_seed(0)
    precision = Precision("int4-g32", {"head": 4, "projector": 16})
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear | nn.Embedding | RMSNorm):
            layer.to_empty(device="cpu")
            for weight in layer.parameters():
                torch.nn.init.normal_(weight, mean=float(isinstance(layer, RMSNorm)), std=0.02)
            scheme = precision.of(f"{name}.weight", layer.weight)
            if isinstance(scheme, Scheme):
                model.set_submodule(name, quantized(layer, scheme))
    for weight in model.vision_tower.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    return model.eval().requires_grad_(False), config


def measure(plan: Plan, progress: Callable[[str], None]) -> dict[str, Any]:
    """{"bandwidth_gb_s", "weight_bytes", "engines": {name: {prefill length: figures}}}; see figures_of.

    Raises UserError when llama-cpp-python or gguf is missing.
    """
    try:
        import llama_cpp  # noqa: F401  before minutes of work

        from export.targets.gguf.decoder import write_decoder
    except ImportError:
        raise UserError(_MISSING) from None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress(f"writing GGUF of {plan.layers} layers")
        model, config = decoder_of_7b(plan.layers)
        write_decoder(model, config, folder / "decoder.gguf")
        del model
        weight_bytes = (folder / "decoder.gguf").stat().st_size - 2 * config.text.vocab_size * config.text.hidden_size
        runs = {"llama.cpp": _llama(folder / "decoder.gguf", plan)}
        for target in TARGETS:
            progress(f"writing {target}")
            runs[target] = _ours(_bundle(target, plan.layers, folder / target), plan)
        taken: dict[str, dict[int, list[tuple[float, float]]]] = {n: {p: [] for p in plan.prefill} for n in runs}
        bandwidth = [_read_speed(plan.threads)]
        for k in range(plan.rounds):
            for length in plan.prefill:
                for engine, run in runs.items():
                    progress(f"round {k + 1} of {plan.rounds}: {engine}, {length} tokens")
                    taken[engine][length].append(run(length, plan.decode))
            bandwidth.append(_read_speed(plan.threads))
    speed = max(bandwidth)
    figures = {
        engine: {str(n): figures_of(times, n, plan.decode, weight_bytes, speed) for n, times in rows.items()}
        for engine, rows in taken.items()
    }
    return {"bandwidth_gb_s": round(speed, 2), "weight_bytes": weight_bytes, "engines": figures}


def as_text(result: dict[str, Any]) -> str:
    """A Markdown table; ratios are those of the medians."""
    lines = [
        f"memory reads {result['bandwidth_gb_s']:.1f} GB/s; weights of a step {result['weight_bytes'] / 1e9:.3f} GB",
        "| engine | prompt | prefill tok/s (min to max) | to llama.cpp | decode tok/s (min to max) | to llama.cpp "
        "| share of bandwidth |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    peer = result["engines"]["llama.cpp"]
    for engine, rows in result["engines"].items():
        for length, row in rows.items():
            cells = []
            for key in ("prefill", "decode"):
                median, low, high = row[key]
                cells += [f"{median:.1f} ({low:.1f} to {high:.1f})", f"{median / peer[length][key][0]:.2f}x"]
            lines.append(f"| {engine} | {length} | {' | '.join(cells)} | {100 * row['bandwidth_share']:.0f} % |")
    return "\n".join(lines)


def figures_of(
    times: Sequence[tuple[float, float]], length: int, decode: int, weight_bytes: int, speed: float
) -> dict[str, Any]:
    """Tokens a second of each part: [median, min, max]; the share of the memory's speed that decoding reads at."""
    speeds = [[length / first for first, _ in times], [decode / then for _, then in times]]
    prefill, steps = ([round(f(column), 3) for f in (statistics.median, min, max)] for column in speeds)
    return {"prefill": prefill, "decode": steps, "bandwidth_share": round(steps[0] * weight_bytes / 1e9 / speed, 4)}


def _bundle(target: str, layers: int, folder: Path) -> Bundle:
    """The same decoder as a bundle. The exporters change the model they are given, so each gets a fresh one."""
    model, config = decoder_of_7b(layers)
    folder.mkdir()
    artifacts = TARGETS[target](model, config, "int4", folder)
    nano = Checkpoint.open(NANO)
    nano.write_tokenizer(folder / TOKENIZER)
    write_manifest(folder, manifest_of(config, nano, find(target), "int4", {**artifacts, "tokenizer": TOKENIZER}))
    return Bundle.load(folder)


def _ours(bundle: Bundle, plan: Plan) -> Run:
    engine, width = open_engine(bundle, plan.threads), bundle.manifest.inference.model.hidden_size
    draw = np.random.default_rng(0)

    def run(length: int, steps: int) -> tuple[float, float]:
        embeds = draw.normal(0, 0.02, (length + steps, width)).astype(np.float32)
        started = time.perf_counter()
        _, cache = engine.decode(embeds[:length], engine.empty_cache())
        read = time.perf_counter()
        for k in range(length, length + steps):
            _, cache = engine.decode(embeds[k : k + 1], cache)
        return read - started, time.perf_counter() - read

    return run


def _llama(path: Path, plan: Plan) -> Run:
    import llama_cpp as peer

    peer.llama_backend_init()
    quiet = peer.llama_log_callback(lambda level, text, data: None)
    peer.llama_log_set(quiet, ctypes.c_void_p(0))
    model = peer.llama_model_load_from_file(str(path).encode(), peer.llama_model_default_params())
    if not model:
        raise UserError("llama.cpp cannot load the GGUF file; pip install -U pulse-edge[peers]")
    params = peer.llama_context_default_params()
    params.n_ctx = max(plan.prefill) + plan.decode
    params.n_threads = params.n_threads_batch = plan.threads
    context = peer.llama_init_from_model(model, params)
    if not context:
        raise UserError("llama.cpp cannot make a context for the prompt; give a shorter --prefill")
    draw, vocabulary = np.random.default_rng(0), peer.llama_vocab_n_tokens(peer.llama_model_get_vocab(model))

    def read(ids: Sequence[int]) -> None:
        tokens = (peer.llama_token * len(ids))(*ids)
        if peer.llama_decode(context, peer.llama_batch_get_one(tokens, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")

    def run(length: int, steps: int, keep: Any = quiet) -> tuple[float, float]:  # the callback must outlive the call
        ids = draw.integers(0, vocabulary, length + steps).tolist()
        peer.llama_memory_clear(peer.llama_get_memory(context), True)
        started = time.perf_counter()
        for k in range(0, length, params.n_batch):
            read(ids[k : min(k + params.n_batch, length)])
        mid = time.perf_counter()
        for k in range(length, length + steps):
            read(ids[k : k + 1])
        return mid - started, time.perf_counter() - mid

    return run


def _read_speed(threads: int) -> float:
    """GB/s at which so many threads read memory: the best of five passes."""
    data, best = torch.ones(_READ // 8, dtype=torch.int64), float("inf")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(5):
            started = time.perf_counter()
            data.max()
            best = min(best, time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)
    return _READ / 1e9 / best
