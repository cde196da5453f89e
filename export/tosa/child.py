"""Runs in the environment of Arm's packages: FOLDER NPU.

Reads from FOLDER: vision.pt2 (torch.export's, pixels [1, C, H, W] -> features [1, T, D]), calibration.npy and
pixels.npy (float32 [N, C, H, W]). Writes there: vision.tosa, what the reference model computes (features.npy, float32
[N, T, D]), Vela's own files (vela/), and report.json.

Weights and activations are 8-bit integers, weights with a scale a channel (ExecuTorch's PT2E flow); what the integers
are is TOSA's specification, 1.0, profile INT. The graph is lowered as ExecuTorch lowers it for that NPU.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.backends.arm.ethosu import EthosUCompileSpec
from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config
from executorch.backends.arm.test.runner_utils import TosaReferenceModelDispatch
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import to_edge_transform_and_lower
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

PACKAGES = ("executorch", "tosa-tools", "ethos-u-vela")
# Vela's summary has sizes in KiB.
_AREAS = {
    "sram": "sram_memory_used",
    "dram": "dram_memory_used",
    "on_chip_flash": "on_chip_flash_memory_used",
    "off_chip_flash": "off_chip_flash_memory_used",
}


def main(folder: Path, npu: str) -> None:
    ethos = EthosUCompileSpec(npu)
    spec = TosaCompileSpec(ethos.tosa_spec)
    calibration, pixels = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("calibration", "pixels"))
    with torch.no_grad():
        program = _lower(_quantize(folder / "vision.pt2", calibration, spec), pixels[:1], spec)
        graph, outside = _delegated(program)
        (folder / "vision.tosa").write_bytes(graph)
        np.save(folder / "features.npy", _reference(program, pixels))
    report = {
        "specification": str(ethos.tosa_spec),
        "outside": outside,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        **_compile(folder, ethos.compiler_flags),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _quantize(path: Path, calibration: torch.Tensor, spec: TosaCompileSpec) -> torch.nn.Module:
    """The program with the quantizing of the integers written out, ranges as seen on `calibration`."""
    quantizer = TOSAQuantizer(spec).set_global(get_symmetric_quantization_config(is_per_channel=True))
    # Without guards: a pass of executorch 1.5.1 stops at the call that checks them.
    prepared = prepare_pt2e(torch.export.load(path).module(check_guards=False), quantizer)
    for tile in calibration:
        prepared(tile[None])
    return convert_pt2e(prepared)


def _lower(model: torch.nn.Module, example: torch.Tensor, spec: TosaCompileSpec) -> Any:
    exported = torch.export.export(model, (example,))
    return to_edge_transform_and_lower(exported, partitioner=[TOSAPartitioner(spec)]).exported_program()


def _delegated(program: Any) -> tuple[bytes, list[str]]:
    """The graph that TOSA took, and the operators that it left to a CPU, by name."""
    taken = [part.processed_bytes for _, part in program.graph_module.named_children()]
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    outside = [match[1] for call in calls if (match := re.search(r"schema = \w+::([\w.]+)", call))]
    if len(taken) != 1:
        raise SystemExit(f"TOSA takes the tower in {len(taken)} pieces, with {', '.join(outside)} between them")
    return taken[0], outside


def _reference(program: Any, pixels: torch.Tensor) -> np.ndarray:
    with TosaReferenceModelDispatch():
        module = program.module(check_guards=False)
        return np.concatenate([module(tile[None]).numpy() for tile in pixels])


def _compile(folder: Path, flags: list[str]) -> dict[str, Any]:
    """Where Vela puts the operators of vision.tosa, what they take, and what Vela estimates of their time."""
    from ethosu.vela import vela

    out, said = folder / "vela", io.StringIO()
    with contextlib.redirect_stdout(said):
        vela.main([str(folder / "vision.tosa"), *flags, f"--output-dir={out}"])
    (summary,) = csv.DictReader(next(out.glob("*_summary_*.csv")).read_text(encoding="utf-8").splitlines())
    placed = {where: int(count) for where, count in re.findall(r"(CPU|NPU) operators = (\d+)", said.getvalue())}
    return {
        "operators": {"npu": placed["NPU"], "cpu": placed["CPU"]},
        "system": summary["system_config"],
        "memory_mode": summary["memory_mode"],
        "bytes": {area: round(float(summary[column]) * 1024) for area, column in _AREAS.items()},
        "estimated": {
            "cycles": int(float(summary["cycles_total"])),
            "seconds": float(summary["inference_time"]),
            "clock_hz": float(summary["core_clock"]),
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
