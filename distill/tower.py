"""Stage one: the vision tower learns PTB-XL's labels, the 12SL statements, the axis and the heart rate from pages."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from distill.dataset_cache import Pack
from distill.distributed import Team
from distill.loop import Average, Log, autocast, clip, learning_rate, load, save
from distill.pages import PageMix, Pages, shuffled
from distill.score import multilabel
from distill.targets import Targets, label_loss, softened
from edge_runtime.errors import UserError
from edge_runtime.preprocess import PreprocessSpec
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.model.config import ConvVision, GridVision
from pulse.model.llava import grid_tower
from pulse.model.towers.conv import ConvTower, GridTower, deepen, unfold_norms
from quantize.load import load_model


@dataclass(frozen=True)
class TowerRun:
    """workers draw pages beside the training; start: a checkpoint whose tower it begins with, not random weights.

    teacher_share: how much of each target is the teacher's probability, where there is a teacher. frozen: the tower
    stays as it begins, and its head alone learns.
    """

    epochs: int = 16
    batch: int = 32
    peak: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 1
    workers: int = 1
    save_every_s: float = 120
    start: str | None = None
    teacher_share: float = 0.65
    frozen: bool = False


class TowerWithHead(nn.Module):
    """pixels [N, 1, H, W] -> (yes/no logits [N, k], rate [N]), both read from the whole-page token."""

    def __init__(self, vision: GridVision, targets: int):
        super().__init__()
        self.vision = vision
        self.tower = grid_tower(vision)
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
    pack: Pack,
    targets: Targets,
    rows: tuple[np.ndarray, np.ndarray],
    vision: GridVision,
    spec: PreprocessSpec,
    run: TowerRun,
    out: Path,
    team: Team,
    told: np.ndarray | None = None,
    begun: Mapping[str, Tensor] | None = None,
) -> TowerWithHead:
    """Train on the pack's rows[0], print figures on rows[1] after each epoch, return the averaged model.

    told: a teacher's probabilities [n, k] of the targets, mixed into them for training alone. begun: the tower's first
    weights; None: random ones, or those of run.start.
    Resumes from out/tower.pt: the pages and their order depend on (seed, epoch, record) alone. Batch norms see each
    process' part of a batch (Hoffer et al. 2017, arXiv 1705.08741), all else is as if one process took it whole.
    Raises UserError when run.start is no checkpoint with such a tower, or the team cannot share a batch.
    """
    out.mkdir(parents=True, exist_ok=True)
    device, part = team.device, team.part(run.batch)
    train, chosen_on = rows
    per_epoch = len(train) // run.batch
    state = load(out / "tower.pt", device)
    step = state["step"] if state else 0
    torch.manual_seed(run.seed)
    model = TowerWithHead(vision, len(targets.names))
    model.tower.requires_grad_(not run.frozen)
    if begun is not None:
        model.tower.load_state_dict(begun)
    model = model.to(device).to(memory_format=torch.channels_last)
    if run.start and not state:
        some = Pages(pack, shuffled(train, run.seed, 0)[:256], spec, PageMix(negative=0), run.seed)
        begin_with(
            model.tower,
            model.vision,
            Checkpoint.open(run.start),
            torch.stack([some[k][0] for k in range(len(some))]).to(device),
        )
    optimizer = torch.optim.AdamW(model.parameters(), run.peak, weight_decay=run.weight_decay)
    average, log = Average(model), Log(out / "tower.csv")
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.state, average.steps = state["average"], state["average_steps"]
    wished = targets if told is None else softened(targets, told, run.teacher_share)
    values, rate = torch.from_numpy(wished.values), torch.from_numpy(targets.rate)
    no_ecg = torch.full((len(targets.names),), float("nan"))
    no_ecg[targets.names.index("is_ecg")] = 0
    saved = time.monotonic()

    def keep() -> None:
        if not team.main:
            return
        state = {"average": average.state, "average_steps": average.steps, "step": step}
        save(out / "tower.pt", model=model.state_dict(), optimizer=optimizer.state_dict(), **state)

    for epoch in range(step // per_epoch, run.epochs):
        order = shuffled(train, run.seed, epoch)[(step % per_epoch) * run.batch :]
        pages = Pages(pack, team.mine(order, run.batch), spec, PageMix(), run.seed)
        pages.epoch = epoch
        loader = DataLoader(pages, part, num_workers=run.workers)
        title = f"tower epoch {epoch + 1}/{run.epochs}"
        bar = tqdm(total=per_epoch, initial=step % per_epoch, desc=title, disable=not team.main)
        model.train()
        losses: list[float] = []
        error_so_far = 0.0
        for number, (pixels, at, is_ecg) in enumerate(loader, 1):
            wanted = torch.where(is_ecg[:, None], values[at], no_ecg).to(device)
            beats = torch.where(is_ecg, rate[at], float("nan")).to(device)
            with autocast(device):
                error = loss(model, pixels.to(device, memory_format=torch.channels_last), wanted, beats, targets.names)
            (error / team.accumulate).backward()
            error_so_far += float(error.detach()) / team.accumulate
            if number % team.accumulate:
                continue
            team.average(model)
            clip(model)
            optimizer.param_groups[0]["lr"] = learning_rate(step / (per_epoch * run.epochs), run.peak)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update(model)
            step += 1
            losses.append(error_so_far)
            error_so_far = 0.0
            bar.update()
            bar.set_postfix(loss=f"{np.mean(losses[-100:]):.4f}")
            if time.monotonic() - saved > run.save_every_s:
                keep()
                saved = time.monotonic()
        bar.close()
        keep()
        mean = team.sum(float(np.mean(losses)) if losses else 0.0) / team.size
        if team.main:
            figures = evaluate(averaged(model, average), pack, targets, chosen_on, spec, device, run.workers)
            log.write({"epoch": epoch + 1, "step": step, "loss": mean, **figures})
            tqdm.write(f"chosen-on fold, epoch {epoch + 1}: " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        team.wait()
    return averaged(model, average)


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
def evaluate(
    model: TowerWithHead,
    pack: Pack,
    targets: Targets,
    rows: np.ndarray,
    spec: PreprocessSpec,
    device: torch.device,
    workers: int = 1,
) -> dict[str, float]:
    """Superclass figures of the head on plain pages of these rows, and the mean error of the heart rate in percent."""
    probability, rates = [], []
    for pixels, _, _ in DataLoader(Pages(pack, rows, spec, None), 32, num_workers=workers):
        logits, rate = model(pixels.to(device, memory_format=torch.channels_last))
        probability.append(logits[:, : len(SUPERCLASSES)].sigmoid().float().cpu())
        rates.append(rate.float().cpu())
    figures = multilabel(targets.values[rows, : len(SUPERCLASSES)].astype(int), torch.cat(probability).numpy())
    gap = torch.cat(rates).numpy() - targets.rate[rows]
    figures["rate_error_pct"] = 100 * float(np.nanmean(np.abs(2 ** (gap * 0.5) - 1)))
    return figures
