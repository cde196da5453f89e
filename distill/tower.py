"""Stage one: the vision tower learns PTB-XL's labels, the 12SL statements, the axis and the heart rate from pages, and
how a picture shows one."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from distill.distributed import Distributed
from distill.loop import Average, Log, Resumable, autocast, clip, learning_rate
from distill.pages import PageMix, Pages, Shown, shuffled
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


class Seen(NamedTuple):
    """Yes/no logits [N, k] of the targets, rate [N], logits [N, 4] of the quarter turns, and logit [N] of "all leads
    are in the picture"."""

    targets: Tensor
    rate: Tensor
    turns: Tensor
    whole: Tensor


class TowerWithHead(nn.Module):
    """pixels [N, 1, H, W] -> Seen, all of it read from the whole-page token."""

    def __init__(self, vision: GridVision, targets: int):
        super().__init__()
        self.vision = vision
        tower = TOWERS.load(vision.kind).build(vision)
        assert isinstance(tower, GridTower)  # a student's tower sees the whole page and its cells
        self.tower = tower
        self.head = nn.Linear(vision.hidden_size, targets + 6)

    def forward(self, pixels: Tensor) -> Seen:
        out = self.head(self.tower(pixels)[:, 0])
        return Seen(out[:, :-6], out[:, -6], out[:, -5:-1], out[:, -1])


def loss(model: TowerWithHead, pixels: Tensor, wish: Wish, names: list[str]) -> Tensor:
    """Cross-entropy over the known targets, plus the errors of the rate and of how the page is shown."""
    seen = model(pixels)
    nothing = seen.rate.float().sum() * 0  # of a batch in which a thing is nowhere known
    known = torch.isfinite(wish.rate)
    rate = F.smooth_l1_loss(seen.rate.float()[known], wish.rate[known], beta=0.2) if known.any() else nothing
    ecg, part = wish.shown != Shown.OTHER, wish.shown == Shown.PART
    turns = F.cross_entropy(seen.turns.float()[ecg], wish.shown[ecg] * ~part[ecg]) if ecg.any() else nothing
    upright = part | (wish.shown == Shown.UPRIGHT)
    whole = nothing
    if upright.any():
        whole = F.binary_cross_entropy_with_logits(seen.whole.float()[upright], (~part[upright]).float())
    return label_loss(seen.targets, wish.values, names) + 0.1 * rate + 0.05 * (turns + whole)


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


class Wish(NamedTuple):
    """Of the pages of a batch: values float32 [N, k] and rate float32 [N], NaN where unknown, and shown int64 [N]."""

    values: Tensor
    rate: Tensor
    shown: Tensor


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

    def at(self, rows: Tensor, shown: Tensor, device: torch.device) -> Wish:
        """Of some pages. What a turned page or a part of one tells of the heart is not asked."""
        upright = shown == Shown.UPRIGHT
        other = torch.full_like(self.no_ecg, float("nan"))
        other[self.names.index("is_ecg")] = 1
        unread = torch.where((shown == Shown.OTHER)[:, None], self.no_ecg, other)
        values = torch.where(upright[:, None], self.values[rows], unread)
        rate = torch.where(upright, self.rate[rows], float("nan"))
        return Wish(values.to(device), rate.to(device), shown.to(device))


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
    for number, (pixels, rows, shown) in enumerate(loader, 1):
        wish = wished.at(rows, shown, device)
        with autocast(device):
            error = loss(model, pixels.to(device, memory_format=torch.channels_last), wish, wished.names)
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
    """Figures of the head on the validation records: the superclasses and the mean error of the heart rate in percent
    on plain pages; the same on varied pages that look as the page reader hands photographs on (photo_)."""
    plain = _figures(model, data, Pages(data.cache, data.validation, student.preprocess, None), student, device)
    varied = Pages(data.cache, data.validation, student.preprocess, PageMix(0, 0, 0, 0, 1))
    photos = _figures(model, data, varied, student, device)
    return {**plain, **{f"photo_{name}": photos[name] for name in ("auc", "f1", "rate_error_pct")}}


def _figures(
    model: TowerWithHead, data: TrainingSet, pages: Pages, student: Student, device: torch.device
) -> dict[str, float]:
    probability, rates = [], []
    for pixels, _, _ in DataLoader(pages, 32, num_workers=student.tower.workers):
        seen = model(pixels.to(device, memory_format=torch.channels_last))
        probability.append(seen.targets[:, : len(SUPERCLASSES)].float().sigmoid().cpu())
        rates.append(seen.rate.float().cpu())
    found = figures(data.classes(data.validation), torch.cat(probability).numpy())
    gap = torch.cat(rates).numpy() - data.targets.rate[data.validation]
    found["rate_error_pct"] = 100 * float(np.nanmean(np.abs(2 ** (gap * 0.5) - 1)))
    return found
