"""The signal network's own training: labels, 12SL statements and heart rate from views of the records."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from distill.loop import Average, Log, Resumable, autocast, clip, learning_rate
from distill.signals.net import SignalNet
from distill.signals.views import Views
from distill.targets import label_loss, softened
from distill.training_set import TrainingSet
from distill.validation import figures, in_words
from edge_runtime.page.layouts import PLAIN
from pulse.ecg.ptbxl import SUPERCLASSES

_RATE_SHARE = 0.1


@dataclass(frozen=True)
class SignalRun:
    """How the tower is trained; teacher_share as distill.runs.TowerRun has it."""

    epochs: int = 24
    batch: int = 64
    peak: float = 3e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    teacher_share: float = 0.65
    seed: int = 1
    workers: int = 1
    save_every_s: float = 120


def train(
    data: TrainingSet, run: SignalRun, out: Path, device: torch.device, soft: np.ndarray | None = None
) -> SignalNet:
    """Train on the training records, log figures of the validation records after each epoch, return the averaged model.

    soft: the teachers' probabilities [n, k] of the targets, for training alone. Resumes from out/signal-net.pt: the
    views and their order depend on (seed, epoch, record) alone.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.seed)
    targets = data.targets if soft is None else softened(data.targets, soft, run.teacher_share)
    values, rates = torch.from_numpy(targets.values), torch.from_numpy(targets.rate)
    model = SignalNet(len(targets.names), run.dropout).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), run.peak, weight_decay=run.weight_decay)
    average, log = Average(model), Log(out / "signal-net.csv")
    state = Resumable(out / "signal-net.pt", model, optimizer, average, run.save_every_s, True)
    state.restore(device)
    steps = max(1, len(data.train) // run.batch)
    for epoch in range(state.step // steps, run.epochs):
        started, losses = time.monotonic(), []
        order = np.random.default_rng([run.seed, epoch]).permutation(data.train)[state.step % steps * run.batch :]
        views = Views(data.cache, order, None, run.seed, epoch)
        torch.manual_seed(run.seed * 1000 + state.step)  # of the dropout, as an uninterrupted run has it an epoch
        model.train()
        for leads, rows in DataLoader(views, run.batch, num_workers=run.workers, drop_last=len(order) >= run.batch):
            with autocast(device):
                logits, rate = model(leads.to(device))
            known = torch.isfinite(rates[rows])
            error = label_loss(logits, values[rows].to(device), targets.names)
            if known.any():
                wished = rates[rows][known].to(device)
                error = error + _RATE_SHARE * F.smooth_l1_loss(rate.float()[known.to(device)], wished, beta=0.2)
            error.backward()
            clip(model)
            state.update(learning_rate(state.step / (steps * run.epochs), run.peak))
            losses.append(float(error.detach()))
        state.save()
        found = evaluate(_averaged(model, average, device), data, run, device)
        log.write({"epoch": epoch + 1, "step": state.step, "loss": float(np.mean(losses)), **found})
        took = time.monotonic() - started
        tqdm.write(f"signal network, epoch {epoch + 1}/{run.epochs}, {took:.0f} s: {in_words(found)}")
    return _averaged(model, average, device)


def _averaged(model: SignalNet, average: Average, device: torch.device) -> SignalNet:
    """A copy with the averaged state, ready to evaluate."""
    other = SignalNet(model.head.out_features - 1).to(device)
    other.load_state_dict(average.state)
    return other.eval()


@torch.no_grad()
def evaluate(model: SignalNet, data: TrainingSet, run: SignalRun, device: torch.device) -> dict[str, float]:
    """Figures of the head on the superclasses of the validation records: whole ones, and what plain pages show
    (page_)."""
    found: dict[str, float] = {}
    for layout, prefix in (("", ""), (PLAIN, "page_")):
        views = Views(data.cache, data.validation, layout)
        parts = [
            model(leads.to(device))[0][:, : len(SUPERCLASSES)].float().sigmoid().cpu()
            for leads, _ in DataLoader(views, 128, num_workers=run.workers)
        ]
        judged = figures(data.classes(data.validation), torch.cat(parts).numpy())
        found |= {prefix + name: value for name, value in judged.items()}
    return found
