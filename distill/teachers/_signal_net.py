"""The signal teacher's networks: how one reads twelve leads, and how the parts of the records take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from distill.dataset_cache import DatasetCache
from distill.loop import Average, Log, autocast, clip, learning_rate, load, save
from distill.targets import label_loss
from distill.teacher import Workspace
from distill.training_set import TrainingSet
from distill.validation import figures, in_words
from pulse.ecg.ptbxl import SUPERCLASSES

if TYPE_CHECKING:
    from distill.teachers.signal import SignalTeacher


class SignalNet(nn.Module):
    """signal [N, 12, samples] in mV -> yes/no logits [N, k]."""

    def __init__(self, targets: int, channels: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = [_Norm(12, channels[0], 15, 2), nn.ReLU(), nn.MaxPool1d(2)]
        for stage, width in enumerate(channels):
            before = channels[max(stage - 1, 0)]
            layers += [_Block(before, width, 2 if stage else 1), _Block(width, width, 1)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * channels[-1], targets))

    def forward(self, signal: Tensor) -> Tensor:
        seen = self.layers(signal)
        return self.head(torch.cat([seen.mean(2), seen.amax(2)], dim=1))


class _Norm(nn.Sequential):
    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int):
        conv = nn.Conv1d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm1d(c_out))


class _Block(nn.Module):
    """Basic residual block (He et al. 2015, arXiv 1512.03385) in one dimension."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.conv1, self.conv2 = _Norm(c_in, c_out, 5, stride), _Norm(c_out, c_out, 5, 1)
        pool = nn.AvgPool1d(stride, ceil_mode=True)
        self.skip = nn.Identity() if c_in == c_out else nn.Sequential(pool, _Norm(c_in, c_out, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.conv2(F.relu(self.conv1(x))))


def probabilities(
    teacher: SignalTeacher,
    data: TrainingSet,
    workspace: Workspace,
    train: Callable[[SignalTeacher, TrainingSet, np.ndarray, int, Workspace], SignalNet] | None = None,
    judge: Callable[[SignalNet, DatasetCache, np.ndarray, torch.device], np.ndarray] | None = None,
) -> np.ndarray:
    """As SignalTeacher.probabilities. train, judge: train_part and judged_by, which the tests replace.

    The training records are split by fold (a patient's records share one).
    """
    train, judge, device = train or train_part, judge or judged_by, workspace.device
    parts = _parts(data.cache, data.train, teacher.parts)
    soft = np.full(data.targets.values.shape, np.nan, np.float32)
    soft[data.validation] = 0
    for number, held in enumerate(parts):
        net = train(teacher, data, data.train[~np.isin(data.train, held)], number, workspace)
        soft[held] = judge(net, data.cache, held, device)
        soft[data.validation] += judge(net, data.cache, data.validation, device) / len(parts)
    for name, rows in (("held-out parts", data.train), ("validation fold", data.validation)):
        found = figures(data.classes(rows), soft[rows, : len(SUPERCLASSES)])
        tqdm.write(f"signal teacher, {name}: {in_words(found)}")
    _log(workspace).write({"part": -1, "epoch": teacher.epochs, "loss": float("nan"), **found})
    return soft


def _log(workspace: Workspace) -> Log:
    return Log(workspace.folder / "signal.csv")


def _parts(cache: DatasetCache, rows: np.ndarray, count: int) -> list[np.ndarray]:
    """By fold where there are enough of them, else by patient: no patient is in two parts."""
    folds = np.array([cache.labels[row]["fold"] for row in rows])
    groups = folds if len(np.unique(folds)) >= count else cache.patients[rows]
    return [rows[np.isin(groups, np.unique(groups)[part::count])] for part in range(count)]


def train_part(
    run: SignalTeacher,
    data: TrainingSet,
    rows: np.ndarray,
    part: int,
    workspace: Workspace,
    start: Mapping[str, Tensor] | None = None,
) -> SignalNet:
    """The network of one part, trained on `rows` and averaged; resumes at the last whole epoch of signal-PART.pt.

    start: weights of its layers to begin with (distill/pretraining), instead of nothing.
    """
    device, cache, targets = workspace.device, data.cache, data.targets
    torch.manual_seed(run.seed + part)
    net = SignalNet(len(targets.names), run.channels).to(device)
    if start is not None:
        net.layers.load_state_dict(start)
    optimizer = torch.optim.AdamW(net.parameters(), run.peak, weight_decay=run.weight_decay)
    average, begun, path = Average(net), 0, workspace.folder / f"signal-{part}.pt"
    if state := load(path, device):
        net.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.state, average.steps, begun = state["average"], state["average_steps"], state["epoch"]
    best = SignalNet(len(targets.names), run.channels).to(device).eval()
    for epoch in range(begun, run.epochs):
        # A whole epoch is a minute: it is the unit of resuming, with its own seed for the dropout and the changes.
        torch.manual_seed(run.seed * 1000 + run.parts * epoch + part)
        net.train()
        losses: list[float] = []
        steps = max(1, len(rows) // run.batch)
        started = time.monotonic()
        for step, (signal, at) in enumerate(_batches(cache, rows, run, epoch)):
            optimizer.param_groups[0]["lr"] = learning_rate((epoch + step / steps) / run.epochs, run.peak)
            with autocast(device):
                logits = net(signal.to(device))
            error = label_loss(logits, torch.from_numpy(targets.values[at]).to(device), targets.names)
            optimizer.zero_grad(set_to_none=True)
            error.backward()
            clip(net)
            optimizer.step()
            average.update(net)
            losses.append(float(error.detach()))
        state = {"average": average.state, "average_steps": average.steps, "epoch": epoch + 1}
        save(path, model=net.state_dict(), optimizer=optimizer.state_dict(), **state)
        best.load_state_dict(average.state)
        judged = judged_by(best, cache, data.validation, device)[:, : len(SUPERCLASSES)]
        found = figures(data.classes(data.validation), judged)
        _log(workspace).write({"part": part, "epoch": epoch + 1, "loss": float(np.mean(losses)), **found})
        took = time.monotonic() - started
        tqdm.write(
            f"signal teacher {part + 1}/{run.parts}, epoch {epoch + 1}/{run.epochs}, {took:.0f} s: {in_words(found)}"
        )
    best.load_state_dict(average.state)
    return best


def _batches(
    cache: DatasetCache, rows: np.ndarray, run: SignalTeacher, epoch: int
) -> Iterator[tuple[Tensor, np.ndarray]]:
    order = np.random.default_rng([run.seed, epoch]).permutation(rows)
    rng = np.random.default_rng([run.seed, epoch, 1])
    for first in range(0, max(1, len(order) - run.batch + 1), run.batch):
        at = order[first : first + run.batch]
        yield torch.from_numpy(changed(cache.signals[at].astype(np.float32) / 1000, rng)), at


def changed(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """signal [N, 12, n] in mV with what differs between two recordings: gain, wandering baseline, noise, start, and
    a lead that fell off."""
    count, leads, samples = signal.shape
    out = signal * rng.uniform(0.85, 1.15, (count, 1, 1)).astype(np.float32)
    seconds = np.linspace(0, 10, samples, dtype=np.float32)
    turns = rng.uniform(0.1, 0.4, (count, 1, 1)) * seconds + rng.uniform(0, 1, (count, leads, 1))
    out += (rng.uniform(0, 0.15, (count, leads, 1)) * np.sin(2 * np.pi * turns)).astype(np.float32)
    out += (rng.uniform(0, 0.03, (count, 1, 1)) * rng.standard_normal(out.shape)).astype(np.float32)
    out[rng.random((count, leads)) < 0.03] = 0
    for row, start in enumerate(rng.integers(0, samples // 5, count)):
        out[row] = np.roll(out[row], start, axis=1)
    return out


@torch.no_grad()
def judged_by(net: SignalNet, cache: DatasetCache, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Probabilities float32 [n, targets] of these records, their signals unchanged."""
    net.eval()
    found = []
    for first in range(0, len(rows), 256):
        signal = cache.signals[rows[first : first + 256]].astype(np.float32) / 1000
        found.append(net(torch.from_numpy(signal).to(device)).sigmoid().float().cpu().numpy())
    return np.concatenate(found)
