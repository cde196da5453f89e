"""One loop for every recipe: samples in, the encoder's weights out, resumed by whole epochs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distill.loop import Log, autocast, clip, learning_rate, load, save
from distill.pretraining.recipe import REDUCTION, Recipe
from distill.teachers._signal_net import SignalNet
from edge_runtime.errors import UserError


@dataclass(frozen=True)
class PretrainingRun:
    """channels: of SignalNet, whose body is the encoder; four stages, which is what REDUCTION stands for."""

    channels: tuple[int, ...]
    epochs: int = 4
    batch: int = 64
    peak: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 1


def pretrain(
    recipe: Recipe, signals: np.ndarray, rows: np.ndarray, run: PretrainingRun, folder: Path, device: torch.device
) -> dict[str, Tensor]:
    """The state of SignalNet.layers after learning from signals[rows] (microvolts [n, 12, 1000]), no label in sight.

    encoder.pt in `folder` holds the last whole epoch, pretraining.csv the loss of each. Raises UserError when the
    folder holds another run, or the rows do not fill a batch.
    """
    if 2 ** (len(run.channels) + 1) != REDUCTION:
        raise ValueError(f"channels {run.channels}: pre-training takes four stages")
    if len(rows) < run.batch:
        raise UserError(f"{len(rows)} records to pre-train on do not fill one batch of {run.batch}; give more")
    _claim(folder, recipe, run)
    torch.manual_seed(run.seed)
    encoder = SignalNet(1, run.channels).layers
    objective = recipe.objective(encoder, run.channels[-1]).to(device)
    optimizer = torch.optim.AdamW(objective.parameters(), run.peak, weight_decay=run.weight_decay)
    path, begun = folder / "encoder.pt", 0
    if state := load(path, device):
        objective.load_state_dict(state["objective"])
        optimizer.load_state_dict(state["optimizer"])
        begun = state["epoch"]
    targets = recipe.prepare(signals, rows, folder) if begun < run.epochs else None
    for epoch in range(begun, run.epochs):
        started, losses = time.monotonic(), []
        torch.manual_seed(run.seed * 1000 + epoch)
        objective.train()
        for part, tensors in _batches(recipe, signals, rows, targets, run, epoch):
            optimizer.param_groups[0]["lr"] = learning_rate((epoch + part) / run.epochs, run.peak)
            with autocast(device):
                loss = objective(*(one.to(device) for one in tensors))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            clip(objective)
            optimizer.step()
            losses.append(float(loss.detach()))
        took = time.monotonic() - started
        save(path, objective=objective.state_dict(), optimizer=optimizer.state_dict(), epoch=epoch + 1)
        row = {"epoch": epoch + 1, "first": losses[0], "loss": float(np.mean(losses)), "seconds": took}
        Log(folder / "pretraining.csv").write(row)
        tqdm.write(f"pre-training, epoch {epoch + 1}/{run.epochs}, {took:.0f} s: loss {row['loss']:.4f}")
    return {name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()}


def _batches(
    recipe: Recipe,
    signals: np.ndarray,
    rows: np.ndarray,
    targets: np.ndarray | None,
    run: PretrainingRun,
    epoch: int,
) -> Iterator[tuple[float, list[Tensor]]]:
    """The share of the epoch that is done, and the tensors of the next batch."""
    order = np.random.default_rng([run.seed, epoch]).permutation(rows)
    rng = np.random.default_rng([run.seed, epoch, 1])
    for first in range(0, len(order) - run.batch + 1, run.batch):
        at = order[first : first + run.batch]
        signal = signals[at].astype(np.float32) / 1000
        made = recipe.batch(signal, None if targets is None else targets[at], rng)
        yield first / len(order), [torch.from_numpy(np.ascontiguousarray(one)) for one in made]


def _claim(folder: Path, recipe: Recipe, run: PretrainingRun) -> None:
    """A folder keeps one encoder."""
    settings: dict[str, Any] = {"recipe": type(recipe).__name__, **asdict(recipe), **asdict(run)}  # type: ignore[call-overload]  # as distill.teaching
    about, path = json.dumps(settings), folder / "pretraining.json"
    if path.exists() and path.read_text(encoding="utf-8") != about:
        raise UserError(f"{folder}: holds a pre-training with other settings; give another --out, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(about, encoding="utf-8")
