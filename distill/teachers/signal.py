"""The signal teacher: a 1-D network that reads the twelve leads themselves, which the student only sees as a picture.

Its probabilities say how sure one can be of a label, which 0/1 labels do not (Hinton et al. 2015, arXiv 1503.02531; for
ECG pages the idea of VizECGNet, arXiv 2408.02888). A network is never asked about a record that it was trained on:
the training folds are split in parts, and each part is judged by a network that saw all the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from distill.dataset_cache import Pack
from distill.loop import Average, Log, autocast, clip, learning_rate, load, save
from distill.score import multilabel
from distill.targets import Targets, label_loss
from pulse.ecg.ptbxl import SUPERCLASSES


@dataclass(frozen=True)
class SignalRun:
    """channels of the stages, two residual blocks each, every stage at half the rate of the one before; parts: how many
    networks there are, each trained without one part of the records and asked about that part."""

    epochs: int = 12
    batch: int = 64
    peak: float = 4e-3
    weight_decay: float = 0.05
    channels: tuple[int, ...] = (48, 96, 160, 224)
    parts: int = 4
    seed: int = 1


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


def teach(
    pack: Pack, targets: Targets, rows: tuple[np.ndarray, np.ndarray], run: SignalRun, out: Path, device: torch.device
) -> np.ndarray:
    """Probabilities float32 [n, k] of every target for the pack's records; NaN for records outside `rows`.

    rows[0] is split by fold (a patient's records share one); rows[1] gets the mean of all networks, whose own figures
    there go to out/signal.csv. What was computed before is read from out/signal.npy.
    """
    path = out / "signal.npy"
    if path.exists():
        return np.load(path)
    out.mkdir(parents=True, exist_ok=True)
    train, chosen_on = rows
    parts = _parts(pack, train, run.parts)
    told = np.full(targets.values.shape, np.nan, np.float32)
    told[chosen_on] = 0
    for number, held in enumerate(parts):
        mine = train[~np.isin(train, held)]
        net = _train(pack, targets, mine, (number, chosen_on), run, out, device)
        told[held] = probabilities(net, pack, held, device)
        told[chosen_on] += probabilities(net, pack, chosen_on, device) / len(parts)
    classes = len(SUPERCLASSES)
    for name, judged in (("held out", train), ("chosen on", chosen_on)):
        figures = multilabel(targets.values[judged, :classes].astype(int), told[judged, :classes])
        tqdm.write(f"signal teacher, {name}: " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    Log(out / "signal.csv").write({"part": -1, "epoch": run.epochs, "loss": float("nan"), **figures})
    partial = path.with_suffix(".partial.npy")
    np.save(partial, told)
    partial.replace(path)
    return told


def _parts(pack: Pack, rows: np.ndarray, count: int) -> list[np.ndarray]:
    """By fold where there are enough of them, else by patient: no patient is in two parts."""
    folds = np.array([pack.labels[row]["fold"] for row in rows])
    groups = folds if len(np.unique(folds)) >= count else pack.patients[rows]
    return [rows[np.isin(groups, np.unique(groups)[part::count])] for part in range(count)]


def _train(
    pack: Pack,
    targets: Targets,
    rows: np.ndarray,
    judged: tuple[int, np.ndarray],
    run: SignalRun,
    out: Path,
    device: torch.device,
) -> SignalNet:
    """The network of one part, averaged; resumes at the last whole epoch of out/signal-<part>.pt."""
    part, chosen_on = judged
    torch.manual_seed(run.seed + part)
    net = SignalNet(len(targets.names), run.channels).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), run.peak, weight_decay=run.weight_decay)
    average, begun, path = Average(net), 0, out / f"signal-{part}.pt"
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
        for step, (signal, at) in enumerate(_batches(pack, rows, run, epoch)):
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
        found = probabilities(best, pack, chosen_on, device)[:, : len(SUPERCLASSES)]
        figures = multilabel(targets.values[chosen_on, : len(SUPERCLASSES)].astype(int), found)
        Log(out / "signal.csv").write({"part": part, "epoch": epoch + 1, "loss": float(np.mean(losses)), **figures})
        took = time.monotonic() - started
        tqdm.write(
            f"signal teacher {part + 1}/{run.parts}, epoch {epoch + 1}/{run.epochs}, {took:.0f} s: "
            + "  ".join(f"{k} {v:.3f}" for k, v in figures.items())
        )
    best.load_state_dict(average.state)
    return best


def _batches(pack: Pack, rows: np.ndarray, run: SignalRun, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
    order = np.random.default_rng([run.seed, epoch]).permutation(rows)
    rng = np.random.default_rng([run.seed, epoch, 1])
    for first in range(0, max(1, len(order) - run.batch + 1), run.batch):
        at = order[first : first + run.batch]
        yield torch.from_numpy(changed(pack.signals[at].astype(np.float32) / 1000, rng)), at


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
def probabilities(net: SignalNet, pack: Pack, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """float32 [k, targets] of these records, unchanged."""
    net.eval()
    found = []
    for first in range(0, len(rows), 256):
        signal = pack.signals[rows[first : first + 256]].astype(np.float32) / 1000
        found.append(net(torch.from_numpy(signal).to(device)).sigmoid().float().cpu().numpy())
    return np.concatenate(found)
