"""What a device that is not here would take, from its published figures: an estimate, and marked as one everywhere.

A phase takes the longer of its bytes at the memory's bandwidth and its operations at the processor's peak (Williams,
Waterman and Patterson 2009, doi:10.1145/1498765.1498785), divided by an efficiency, plus a time for each operator:

    ms = max(bytes / bandwidth, operations / peak) / efficiency + operators * overhead

Efficiencies (one a phase) and overhead are fitted to runs of this machine, whose own bandwidth and peak are probed. How
far such a fit is off for a bundle that it has not seen is reported with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
from scipy.optimize import lsq_linear

from benchmarks.estimate.graph_work import Work, phases
from benchmarks.estimate.profile import Profile
from benchmarks.subjects.environment import bundle_digest
from edge_runtime import image
from edge_runtime.bundle import Bundle
from edge_runtime.cpus import usable_cores
from edge_runtime.engines.onnx import session_options
from edge_runtime.preprocess import draft_size, pixels

PHASES = ("vision", "prefill", "decode")


@dataclass(frozen=True)
class Peak:
    """What a processor can do at most: float32 GFLOP/s, and GB/s read from memory."""

    gflops: float
    gb_s: float

    def roof_ms(self, work: Work) -> float:
        return max(work.flops / self.gflops, work.bytes / self.gb_s) / 1e6


@dataclass(frozen=True)
class Fit:
    """efficiency: share of the roof that a phase reaches; overhead_us: of one operator."""

    efficiency: dict[str, float]
    overhead_us: float

    def ms(self, phase: str, work: Work, peak: Peak) -> float:
        return peak.roof_ms(work) / self.efficiency[phase] + work.nodes * self.overhead_us / 1e3


@dataclass(frozen=True)
class Run:
    """A measured bundle: its work and milliseconds by phase, and the peak of the processor with so many threads."""

    bundle: str
    threads: int
    work: dict[str, Work]
    ms: dict[str, float]
    peak: Peak


def probe(threads: int) -> Peak:
    """This machine's peak with `threads` threads: ONNX Runtime's own product of two matrices, and reading an array.

    The best of several tries, since other work can only slow them.
    """
    size = 1024
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "probe", kinds[:2], kinds[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), session_options(threads))
    feed = {name: np.ones((size, size), np.float32) for name in "ab"}
    gflops = max(2 * size**3 / _seconds(lambda: session.run(None, feed)) / 1e9 for _ in range(20))
    parts = np.array_split(np.ones(1 << 26, np.float32), threads)
    with ThreadPoolExecutor(threads) as pool:
        gb_s = max((4 << 26) / _seconds(lambda: list(pool.map(np.max, parts))) / 1e9 for _ in range(8))
    return Peak(gflops, gb_s)


def fit(runs: Sequence[Run]) -> Fit:
    """The efficiencies, none above 1, and the overhead that are off least, each phase's error relative to its time.

    A small model's weights stay in the caches, which are faster than the memory that its roof is made of; then 1 is
    too little, and the error says so.
    """
    rows = []
    for run in runs:
        for phase in PHASES:
            parts = [run.peak.roof_ms(run.work[phase]) if phase == other else 0.0 for other in PHASES]
            rows.append([value / run.ms[phase] for value in (*parts, float(run.work[phase].nodes))])
    lowest = [*([1.0] * len(PHASES)), 0.0]
    *slowness, overhead = lsq_linear(np.array(rows), np.ones(len(rows)), (lowest, np.inf)).x
    return Fit({phase: 1 / float(each) for phase, each in zip(PHASES, slowness, strict=True)}, 1e3 * float(overhead))


def left_out(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each bundle estimated by the fit to the others: phase, measured and estimated milliseconds, error as a share.

    Empty when there is only one bundle.
    """
    rows = []
    for run in runs:
        others = [other for other in runs if other.bundle != run.bundle]
        if not others:
            return []
        fitted = fit(others)
        for phase in PHASES:
            guess, took = fitted.ms(phase, run.work[phase], run.peak), run.ms[phase]
            rows.append(
                {
                    "bundle": run.bundle,
                    "threads": run.threads,
                    "phase": phase,
                    "measured_ms": took,
                    "estimated_ms": guess,
                    "error": guess / took - 1,
                }
            )
    return rows


def estimate(profile: Profile, work: dict[str, Work], fitted: Fit) -> dict[str, Any]:
    """Milliseconds by phase and decode's tokens/s, evidence "estimated"; "not_run" where the device file lacks figures.

    The published peak is taken for the probed one, so an estimate is on the fast side by what a device does not reach.
    """
    lacking = [name for name in ("bandwidth_gb_s", "cpu_gflops") if getattr(profile, name) is None]
    if profile.bandwidth_gb_s is None or profile.cpu_gflops is None:
        return {"device": profile.name, "evidence": "not_run", "reason": f"{' and '.join(lacking)} not published"}
    peak = Peak(profile.cpu_gflops, profile.bandwidth_gb_s)
    ms = {phase: fitted.ms(phase, work[phase], peak) for phase in PHASES}
    figures = {f"{phase}_ms": value for phase, value in ms.items()} | {"decode_tokens_per_s": 1e3 / ms["decode"]}
    return {"device": profile.name, "evidence": "estimated", "figures": figures, "sources": profile.sources}


def runs_of(rows: Sequence[dict[str, Any]], bundles: Sequence[Bundle], picture: Path) -> list[Run]:
    """The measured rows of latency.measure that are of `bundles`, with their work counted; picture: the page read."""
    by_digest = {bundle_digest(bundle.folder): bundle for bundle in bundles}
    taken = [row for row in rows if row["evidence"] == "measured" and row["bundle"]["sha256"] in by_digest]
    asked = [(row, row["setting"]["threads"] or usable_cores()) for row in taken if not row["setting"]["provider"]]
    peaks = {threads: probe(threads) for threads in {threads for _, threads in asked}}
    runs = []
    for row, threads in asked:
        bundle, figures = by_digest[row["bundle"]["sha256"]], row["figures"]
        ms = {phase: figures[f"{phase}_ms"]["median"] for phase in ("vision", "prefill")}
        ms["decode"] = 1e3 / figures["decode_tokens_per_s"]["median"]
        work = work_of(bundle, picture, row["prompt_positions"], row["tokens"])
        runs.append(Run(bundle.folder.name, threads, work, ms, peaks[threads]))
    return runs


def work_of(bundle: Bundle, picture: Path, prompt: int, tokens: int) -> dict[str, Work]:
    """Work by phase for a page, `prompt` positions and an answer of `tokens`, of which the middle one is counted."""
    spec = bundle.manifest.inference.preprocess
    tiles = len(pixels(image.load(picture, draft=draft_size(spec)), spec))
    return phases(bundle, tiles, prompt, prompt + max(1, tokens // 2))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
