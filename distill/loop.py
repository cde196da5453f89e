"""What both training stages share: schedule, moving average, exact resume, the log."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_runtime.files import replacing


def learning_rate(part: float, peak: float, warmup: float = 0.05) -> float:
    """Linear warm-up, then a cosine to zero; part is the share of the run that is done."""
    if part < warmup:
        return peak * (part + 1e-3) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (part - warmup) / (1 - warmup)))


class Average:
    """Exponential moving average of a model's floating-point state; what is evaluated and shipped."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay, self.steps = decay, 0
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))  # the first steps are no better than noise
        for name, value in model.state_dict().items():
            mine = self.state[name]
            if value.is_floating_point():
                mine.lerp_(value.to(mine.dtype), 1 - decay)
            else:
                mine.copy_(value)


def save(path: Path, **parts: Any) -> None:
    """Write a training state so that a kill at any moment leaves the old one or the new one."""
    with replacing(path) as aside:
        torch.save(parts, aside)


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The saved parts, or None when there is nothing to resume."""
    return torch.load(path, map_location=device, weights_only=True) if path.exists() else None


class Resumable:
    """A model in training with its optimizer and its average; `path` holds what an exact resume needs.

    writes: whether this process is the one that saves. step: how many have been taken.
    """

    def __init__(
        self,
        path: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: Average,
        every_s: float,
        writes: bool,
    ):
        self.path, self.model, self.optimizer, self.average = path, model, optimizer, average
        self.every_s, self.writes, self.step, self.saved = every_s, writes, 0, time.monotonic()

    def restore(self, device: torch.device) -> None:
        """Go on from what was saved, if anything was."""
        if state := load(self.path, device):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average.state, self.average.steps = state["average"], state["average_steps"]
            self.step = state["step"]

    def update(self, rate: float) -> None:
        """One step along the gradients that the model holds; saved when it is time."""
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.model)
        self.step += 1
        if time.monotonic() - self.saved > self.every_s:
            self.save()
            self.saved = time.monotonic()

    def save(self) -> None:
        """Write the state, where this process does."""
        if self.writes:
            average = {"average": self.average.state, "average_steps": self.average.steps}
            model, optimizer = self.model.state_dict(), self.optimizer.state_dict()
            save(self.path, model=model, optimizer=optimizer, step=self.step, **average)


class Log:
    """Rows of figures in a CSV file that a resumed run goes on writing."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, row: Mapping[str, float]) -> None:
        new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" for k, v in row.items()})


def pick_device(name: str = "auto") -> torch.device:
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)


def autocast(device: torch.device) -> Any:
    """bfloat16 on CUDA and on CPUs that multiply it (AVX512-BF16, twice as fast); others would emulate it, a hundred
    times slower than float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or _cpu_has_bfloat16())


@cache
def _cpu_has_bfloat16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def clip(model: nn.Module, norm: float = 1.0) -> Tensor:
    return nn.utils.clip_grad_norm_(model.parameters(), norm)
