"""What stands for Arm's tools where they are not: the float tower itself, off by as much as a test says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from export.tosa.environment import Environment

REPORT = {
    "specification": "TOSA-1.0+INT",
    "outside": ["quantize_per_tensor"],
    "versions": {"executorch": "1", "tosa-tools": "2", "ethos-u-vela": "3"},
    "operators": {"npu": 70, "cpu": 5},
    "system": "Some_System",
    "memory_mode": "Some_Mode",
    "bytes": {"sram": 4096, "dram": 0, "on_chip_flash": 1024, "off_chip_flash": 0},
    "estimated": {"cycles": 2_500_000, "seconds": 0.005, "clock_hz": 5e8},
}


class Planted(Environment):
    """off: relative error of every feature. calibrated: how many tiles ranges were taken from."""

    off = 0.0
    calibrated = 0

    def run(self, script: Path, *argv: str | Path) -> None:
        folder = Path(argv[0])
        tower = torch.export.load(folder / "vision.pt2").module()
        pixels = torch.from_numpy(np.load(folder / "pixels.npy"))
        with torch.no_grad():
            features = np.concatenate([tower(tile[None]).numpy() for tile in pixels])
        np.save(folder / "features.npy", (features * (1 + type(self).off)).astype(np.float32))
        (folder / "vision.tosa").write_bytes(b"graph")
        (folder / "report.json").write_text(json.dumps(REPORT))
        type(self).calibrated = len(np.load(folder / "calibration.npy"))


def planted(off: float) -> type[Planted]:
    return type("Off", (Planted,), {"off": off})
