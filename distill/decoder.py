"""Stage two: projector and decoder learn to answer questions from the tower's features."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from distill.dialogues import Batch, Packer, collate
from distill.features import Features
from distill.loop import Average, Log, autocast, clip, learning_rate, load, save
from distill.opinions import Opinions
from distill.pack import Pack
from distill.score import multilabel
from distill.team import Team
from distill.tokens import facts_of
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.questions import NO, YES, Turn, finding_question, training_turns
from pulse.model.config import Decoder
from pulse.model.llama import LanguageModel
from pulse.model.llava import Projector
from quantize.precision import Precision
from quantize.qat import call_rounded, rounded


@dataclass(frozen=True)
class DecoderRun:
    epochs: int = 2
    batch: int = 16
    peak: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 1
    max_length: int = 384
    save_every_s: float = 120
    qat: str | None = None  # the scheme that the loss rounds the weights by, or None to train plain float weights


class Speaker(nn.Module):
    """Projector and decoder, named as in the whole model."""

    def __init__(self, vision_size: int, text: Decoder):
        super().__init__()
        self.multi_modal_projector = Projector(vision_size, text.hidden_size)
        self.language_model = LanguageModel(text)

    def hidden(self, features: Tensor, batch: Batch, image_start: int) -> Tensor:
        """features [B, T, C] spliced into the packed sequences -> hidden states [B, L, hidden]."""
        embeds = self.language_model.model.embed_tokens(batch.ids)
        image = self.multi_modal_projector(features)
        end = image_start + image.shape[1]
        embeds = torch.cat([embeds[:, :image_start], image, embeds[:, end:]], dim=1)
        return self.language_model.model(embeds, positions=batch.positions[:, None], mask=batch.mask)[0]

    def forward(self, features: Tensor, batch: Batch, image_start: int) -> Tensor:
        """Weighted cross-entropy of the answers' tokens; the head runs on those positions alone."""
        at = batch.weights > 0
        logits = self.language_model.lm_head(self.hidden(features, batch, image_start)[at])
        each = F.cross_entropy(logits.float(), batch.targets[at], reduction="none")
        return (each * batch.weights[at]).sum() / batch.weights[at].sum()


def train_decoder(
    pack: Pack,
    views: Sequence[Features],
    opinions: Sequence[Opinions] | None,
    chosen_on: Features,
    packer: Packer,
    text: Decoder,
    run: DecoderRun,
    out: Path,
    team: Team,
) -> Speaker:
    """Train on cached features, print figures on `chosen_on` after each epoch, return the averaged model.

    views: features of the same records, drawn and photographed differently; the epochs take them in turn. opinions: of
    each view's pages, None to answer by the labels alone.
    With run.qat the loss and the figures are those of rounded weights; the model returned is in float all the same.
    The dialogues depend on (seed, epoch, page) alone, so a resumed run (out/decoder.pt) repeats an uninterrupted one,
    and a team of several one of one process. Raises UserError when the team cannot share a batch.
    """
    device, part = team.device, team.part(run.batch)
    torch.manual_seed(run.seed)
    model = Speaker(views[0].tokens.shape[2], text).to(device)
    _initialise(model, text)
    optimizer = torch.optim.AdamW(model.parameters(), run.peak, weight_decay=run.weight_decay, betas=(0.9, 0.98))
    average, log, step = Average(model, 0.998), Log(out / "decoder.csv"), 0
    if state := load(out / "decoder.pt", device):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.state, average.steps, step = state["average"], state["average_steps"], state["step"]
    per_epoch = len(views[0].rows) // run.batch
    total, saved = per_epoch * run.epochs, time.monotonic()
    precision = None if run.qat is None else Precision(run.qat)
    loss = model if precision is None else partial(call_rounded, model, precision)

    def keep() -> None:
        if not team.main:
            return
        state = {"average": average.state, "average_steps": average.steps, "step": step}
        save(out / "decoder.pt", model=model.state_dict(), optimizer=optimizer.state_dict(), **state)

    for epoch in range(step // per_epoch, run.epochs):
        model.train()
        losses: list[float] = []
        view = epoch % len(views)
        told = None if opinions is None else opinions[view]
        order = np.random.default_rng([run.seed, epoch]).permutation(len(views[view].rows))[
            step % per_epoch * run.batch :
        ]
        parts = _parts(pack, views[view], told, packer, (run.seed, epoch), team.mine(order, run.batch), part)
        title = f"decoder epoch {epoch + 1}/{run.epochs}"
        bar = tqdm(total=per_epoch, initial=step % per_epoch, desc=title, disable=not team.main)
        while taken := list(islice(parts, team.accumulate)):
            weights = [float(batch.weights.sum()) for _, batch in taken]
            whole, error_of_step = team.sum(sum(weights)), 0.0
            for (tokens, batch), weight in zip(taken, weights, strict=True):
                with autocast(device):
                    error = loss(tokens.to(device), _on(batch, device), packer.image_start)
                # Its share of the mean over the whole batch; the team's average divides by its size.
                error = error * (weight / whole * team.size)
                error.backward()
                error_of_step += float(error.detach())
            team.average(model)
            clip(model)
            optimizer.param_groups[0]["lr"] = learning_rate(step / total, run.peak)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update(model)
            step += 1
            losses.append(error_of_step)
            bar.update()
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}")
            if time.monotonic() - saved > run.save_every_s:
                keep()
                saved = time.monotonic()
        bar.close()
        keep()
        mean = team.sum(float(np.mean(losses)) if losses else 0.0) / team.size
        if team.main:
            judged = _averaged(model, average)
            if precision is not None:
                judged.load_state_dict(rounded(judged.state_dict(), precision))
            figures = evaluate(judged, pack, chosen_on, packer, device)
            log.write({"epoch": epoch + 1, "step": step, "loss": mean, **figures})
            tqdm.write(f"chosen-on fold, epoch {epoch + 1}: " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        team.wait()
    return _averaged(model, average)


def _initialise(model: Speaker, text: Decoder) -> None:
    """GPT-2's scheme: small normals, the residual outputs smaller with depth (Radford et al. 2019)."""
    for name, parameter in model.language_model.named_parameters():
        if parameter.dim() == 2:
            residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(parameter, std=0.02 / ((2 * text.num_hidden_layers) ** 0.5 if residual else 1))


def _averaged(model: Speaker, average: Average) -> Speaker:
    other = Speaker(model.multi_modal_projector.linear_1.in_features, model.language_model.model.config)
    other.load_state_dict(average.state)
    return other.to(next(model.parameters()).device).eval()


def _on(batch: Batch, device: torch.device) -> Batch:
    return Batch(*(value.to(device) for value in vars(batch).values()))


def _parts(
    pack: Pack,
    features: Features,
    opinions: Opinions | None,
    packer: Packer,
    seed: tuple[int, int],
    order: np.ndarray,
    size: int,
) -> Iterator[tuple[Tensor, Batch]]:
    """The pages of `order`, `size` at a time."""
    for first in range(0, len(order), size):
        items = order[first : first + size]
        sequences = []
        for item in items:
            row, rng = int(features.rows[item]), np.random.default_rng([*seed, int(item)])
            facts = facts_of(pack.labels[row], True) if row >= 0 else facts_of({}, False)
            opinion = None if opinions is None or row < 0 else opinions[int(item)]
            sequences.append(packer.pack(training_turns(facts, rng, opinion)))
        yield torch.from_numpy(features.tokens[items].astype(np.float32)), collate(sequences)


@torch.no_grad()
def evaluate(model: Speaker, pack: Pack, features: Features, packer: Packer, device: torch.device) -> dict[str, float]:
    """Superclass figures from the likelihood of "Yes" against "No" after each finding's question."""
    yes, no = packer.encode(YES)[0], packer.encode(NO)[0]
    dialogues = [[Turn(finding_question(label), YES)] for label in SUPERCLASSES]
    packed = packer.pack(dialogues)
    # Where each question's answer starts: the first weighted position of each segment.
    at = [int(np.flatnonzero((packed.segments == k + 1) & (packed.weights > 0))[0]) for k in range(len(dialogues))]
    truth, probability = [], []
    for first in range(0, len(features.rows), 64):
        tokens = torch.from_numpy(np.asarray(features.tokens[first : first + 64], np.float32)).to(device)
        batch = _on(collate([packed] * len(tokens)), device)
        logits = model.language_model.lm_head(model.hidden(tokens, batch, packer.image_start)[:, at]).float()
        probability.append((logits[..., yes] - logits[..., no]).sigmoid().cpu())
        for row in features.rows[first : first + 64]:
            classes = facts_of(pack.labels[int(row)]).classes()
            truth.append([label in classes for label in SUPERCLASSES])
    return multilabel(np.array(truth, int), torch.cat(probability).numpy())
