"""One training of the delineator: a function of the leads it learns from, the settings and the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from distill.delineator.examples import Leads, batch
from distill.delineator.net import Unet
from distill.delineator.scoring import Score
from edge_runtime.waves.delineate import delineate
from edge_runtime.waves.net import Weights
from pulse.ecg.ludb import Marked


@dataclass(frozen=True)
class Settings:
    steps: int = 700
    size: int = 32  # leads a step
    peak: float = 4e-3  # of the learning rate, which rises over the first tenth and falls to nothing
    decay: float = 0.01
    half: bool = True  # convolutions in bfloat16: a third of the time is saved where the processor knows them
    seed: int = 0


def train(leads: Leads, settings: Settings, name: str = "train") -> Weights:
    """Weights as the runtime takes them, after `steps` of AdamW on the mean cross-entropy of the marked samples."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    net = Unet().train()
    optimizer = torch.optim.AdamW(net.parameters(), settings.peak, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.peak, settings.steps, pct_start=0.1)
    bar = tqdm(range(settings.steps), name)
    for _ in bar:
        x, y = batch(leads, rng.integers(0, len(leads.signal), settings.size), rng)
        with torch.autocast("cpu", torch.bfloat16, settings.half):
            scores = net(torch.from_numpy(x)).float()
        loss = F.cross_entropy(scores.flatten(0, 1), torch.from_numpy(y).flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return net.eval().folded()


def cross_validated(records: Sequence[Marked], settings: Settings, folds: int) -> Score:
    """Every record scored by a network that learned from the other folds' records alone; a record is a patient."""
    score = Score()
    for fold in range(folds):
        held = records[fold::folds]
        rest = [record for number, record in enumerate(records) if number % folds != fold]
        weights = train(Leads.of(rest), settings, f"fold {fold + 1} of {folds}")
        for record in held:
            found = delineate(record.signal, record.fs, weights)
            for marked, waves in zip(record.marks, found, strict=True):
                score.add(record.number, marked, waves, record.fs)
    return score
