"""Stage one: the vision tower learns PTB-XL's labels, the 12SL statements, the axis and the heart rate from pages."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from distill.distributed import Distributed
from distill.loop import Average, Log, Resumable, autocast, clip, learning_rate
from distill.pages import PageMix, Pages, shuffled
from distill.student import Student
from distill.targets import label_loss, softened
from distill.training_set import TrainingSet
from distill.validation import figures, in_words
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.model.tower import TOWERS, GridVision
from pulse.model.towers._conv_net import ConvTower, GridTower, deepen, unfold_norms
from pulse.model.towers.conv import ConvVision
from quantize.load import load_model


class TowerWithHead(nn.Module):
    """pixels [N, 1, H, W] -> (yes/no logits [N, k], rate [N]), both read from the whole-page token."""

    def __init__(self, vision: GridVision, targets: int):
        super().__init__()
        self.vision = vision
        tower = TOWERS.load(vision.kind).build(vision)
        assert isinstance(tower, GridTower)  # a student's tower sees the whole page and its cells
        self.tower = tower
        self.head = nn.Linear(vision.hidden_size, targets + 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        out = self.head(self.tower(pixels)[:, 0])
        return out[:, :-1], out[:, -1]


def loss(model: TowerWithHead, pixels: Tensor, values: Tensor, rate: Tensor, names: list[str]) -> Tensor:
    """Cross-entropy over the known targets, plus the error of the rate."""
    logits, rate_hat = model(pixels)
    known = torch.isfinite(rate)
    rate_loss = F.smooth_l1_loss(rate_hat.float()[known], rate[known], beta=0.2) if known.any() else logits.sum() * 0
    return label_loss(logits, values, names) + 0.1 * rate_loss


def train_tower(
    data: TrainingSet, student: Student, out: Path, distributed: Distributed, soft: np.ndarray | None = None
) -> TowerWithHead:
    """Train on the training records, log figures of the validation records after each epoch, return the averaged model.

    soft: the teachers' probabilities [n, k] of the targets, mixed into them for training alone.
    Resumes from out/tower.pt: the pages and their order depend on (seed, epoch, record) alone. Batch norms see each
    process' part of a batch (Hoffer et al. 2017, arXiv 1705.08741), all else is as if one process took it whole.
    Raises UserError when the run's `start` is no checkpoint with such a tower, or the processes cannot share a batch.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = student.tower
    distributed.part(run.batch)
    model = _first_model(data, student, distributed.device, fresh=not (out / "tower.pt").exists())
    optimizer = torch.optim.AdamW(model.parameters(), run.peak, weight_decay=run.weight_decay)
    average, log = Average(model), Log(out / "tower.csv")
    state = Resumable(out / "tower.pt", model, optimizer, average, run.save_every_s, distributed.main)
    state.restore(distributed.device)
    wished = Wished.of(data, soft, run.teacher_share)
    for epoch in range(state.step // (len(data.train) // run.batch), run.epochs):
        losses = _epoch(epoch, state, model, data, student, wished, distributed)
        state.save()
        mean = distributed.sum(float(np.mean(losses)) if losses else 0.0) / distributed.size
        if distributed.main:
            found = evaluate(averaged(model, average), data, student, distributed.device)
            log.write({"epoch": epoch + 1, "step": state.step, "loss": mean, **found})
            tqdm.write(f"validation fold, epoch {epoch + 1}: {in_words(found)}")
        distributed.wait()
    return averaged(model, average)


@dataclass(frozen=True)
class Wished:
    """What the tower is to see: values float32 [n, k] of the targets `names` and rate float32 [n] of every record;
    no_ecg [k]: of a page that is none. NaN: unknown."""

    names: list[str]
    values: Tensor
    rate: Tensor
    no_ecg: Tensor

    @staticmethod
    def of(data: TrainingSet, soft: np.ndarray | None, share: float) -> Wished:
        """The labels, mixed with the teachers' probabilities where there are any."""
        targets = data.targets if soft is None else softened(data.targets, soft, share)
        no_ecg = torch.full((len(targets.names),), float("nan"))
        no_ecg[targets.names.index("is_ecg")] = 0
        return Wished(targets.names, torch.from_numpy(targets.values), torch.from_numpy(targets.rate), no_ecg)

    def at(self, rows: Tensor, is_ecg: Tensor) -> tuple[Tensor, Tensor]:
        """Values [N, k] and rates [N] of some pages."""
        values = torch.where(is_ecg[:, None], self.values[rows], self.no_ecg)
        return values, torch.where(is_ecg, self.rate[rows], float("nan"))


def _first_model(data: TrainingSet, student: Student, device: torch.device, fresh: bool) -> TowerWithHead:
    """The model before its first step; fresh: nothing is saved that replaces its weights."""
    run = student.tower
    torch.manual_seed(run.seed)
    model = TowerWithHead(student.vision, len(data.targets.names))
    model.tower.requires_grad_(not run.frozen)
    if (state := student.tower_state()) is not None:
        model.tower.load_state_dict(state)
    model = model.to(device).to(memory_format=torch.channels_last)
    if run.start and fresh:
        some = Pages(
            data.cache, shuffled(data.train, run.seed, 0)[:256], student.preprocess, PageMix(negative=0), run.seed
        )
        pixels = torch.stack([some[k][0] for k in range(len(some))]).to(device)
        begin_with(model.tower, model.vision, Checkpoint.open(run.start), pixels)
    return model


def _epoch(
    epoch: int,
    state: Resumable,
    model: TowerWithHead,
    data: TrainingSet,
    student: Student,
    wished: Wished,
    distributed: Distributed,
) -> list[float]:
    """The rest of an epoch; the loss of each of its steps."""
    run, device, per_epoch = student.tower, distributed.device, len(data.train) // student.tower.batch
    done = state.step % per_epoch
    order = shuffled(data.train, run.seed, epoch)[done * run.batch :]
    pages = Pages(data.cache, distributed.share(order, run.batch), student.preprocess, PageMix(), run.seed)
    pages.epoch = epoch
    loader = DataLoader(pages, distributed.part(run.batch), num_workers=run.workers)
    title = f"tower epoch {epoch + 1}/{run.epochs}"
    bar = tqdm(total=per_epoch, initial=done, desc=title, disable=not distributed.main)
    model.train()
    losses: list[float] = []
    error_so_far = 0.0
    for number, (pixels, rows, is_ecg) in enumerate(loader, 1):
        values, rate = (part.to(device) for part in wished.at(rows, is_ecg))
        with autocast(device):
            error = loss(model, pixels.to(device, memory_format=torch.channels_last), values, rate, wished.names)
        (error / distributed.accumulate).backward()
        error_so_far += float(error.detach()) / distributed.accumulate
        if number % distributed.accumulate:
            continue
        distributed.average(model)
        clip(model)
        state.update(learning_rate(state.step / (per_epoch * run.epochs), run.peak))
        losses.append(error_so_far)
        error_so_far = 0.0
        bar.update()
        bar.set_postfix(loss=f"{np.mean(losses[-100:]):.4f}")
    bar.close()
    return losses


def begin_with(tower: GridTower, vision: GridVision, checkpoint: Checkpoint, pixels: Tensor) -> None:
    """Give the tower a checkpoint's weights; pixels [N, C, H, W] are pages to measure its norms' statistics on.

    Blocks that the checkpoint lacks start as the identity (Chen et al. 2015, arXiv 1511.05641).
    """
    model, theirs = load_model(checkpoint), checkpoint.config.vision
    if not isinstance(tower, ConvTower) or not isinstance(vision, ConvVision):
        raise UserError("--start is for the student nano; leave it out")
    if not isinstance(theirs, ConvVision) or replace(theirs, blocks=vision.blocks) != replace(vision, batch_norm=False):
        raise UserError(f"{checkpoint.folder}: its vision tower has other sizes than the student's; leave out --start")
    if any(old > new for old, new in zip(theirs.blocks, vision.blocks, strict=True)):
        raise UserError(f"{checkpoint.folder}: its vision tower is deeper than the student's; leave out --start")
    begun = ConvTower(replace(vision, blocks=theirs.blocks)).to(pixels.device)
    unfold_norms(begun, model.vision_tower.state_dict(), pixels)
    deepen(tower, vision.blocks, begun.state_dict(), theirs.blocks)


def averaged(model: TowerWithHead, average: Average) -> TowerWithHead:
    """A copy of the model with the averaged state, ready to evaluate."""
    other = copy.deepcopy(model)
    other.load_state_dict(average.state)
    return other.eval()


@torch.no_grad()
def evaluate(model: TowerWithHead, data: TrainingSet, student: Student, device: torch.device) -> dict[str, float]:
    """Figures of the head on plain pages of the validation records: the superclasses, and the mean error of the heart
    rate in percent."""
    probability, rates = [], []
    pages = Pages(data.cache, data.validation, student.preprocess, None)
    for pixels, _, _ in DataLoader(pages, 32, num_workers=student.tower.workers):
        logits, rate = model(pixels.to(device, memory_format=torch.channels_last))
        probability.append(logits[:, : len(SUPERCLASSES)].sigmoid().float().cpu())
        rates.append(rate.float().cpu())
    found = figures(data.classes(data.validation), torch.cat(probability).numpy())
    gap = torch.cat(rates).numpy() - data.targets.rate[data.validation]
    found["rate_error_pct"] = 100 * float(np.nanmean(np.abs(2 ** (gap * 0.5) - 1)))
    return found
