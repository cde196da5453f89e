"""Stage two: projector and decoder learn to answer questions from the tower's features; stage three: the same once
more with rounded weights, taught by what they were before they were rounded."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from distill.dataset_cache import Pack
from distill.dialogues import Batch, Packer, collate
from distill.distributed import Team
from distill.features import Features
from distill.loop import Average, Log, autocast, clip, learning_rate, load, save
from distill.score import multilabel
from distill.soft_targets import Opinions
from distill.teachers.logits import Advice, advice_of, divergence
from distill.tokens import facts_of
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.facts import Facts
from pulse.instruct.questions import NO, YES, Turn, finding_question, training_turns
from pulse.model.config import Decoder
from pulse.model.llama import LanguageModel
from pulse.model.llava import Projector
from quantize.precision import Precision
from quantize.qat import call_rounded, rounded


@dataclass(frozen=True)
class DecoderRun:
    """qat: the scheme that stage three rounds the weights by, for qat_epochs at a rate of at most qat_peak; None ships
    the float weights rounded. teacher_share: how much of the loss is the divergence from a teacher's logits, where
    there are any.
    """

    epochs: int = 3
    batch: int = 16
    peak: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 1
    max_length: int = 384
    save_every_s: float = 120
    qat: str | None = None
    qat_epochs: int = 1
    qat_peak: float = 3e-4
    teacher_share: float = 0.5


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

    def logits(self, features: Tensor, batch: Batch, image_start: int) -> Tensor:
        """[N, V], at the N positions that predict a token of an answer; the head runs on those alone."""
        return self.language_model.lm_head(self.hidden(features, batch, image_start)[batch.weights > 0])

    def forward(
        self, features: Tensor, batch: Batch, image_start: int, advice: Sequence[Advice] = (), share: float = 0.0
    ) -> Tensor:
        """Weighted mean over the answers' tokens of their cross-entropy, of which `share` gives way to the divergence
        from the advice of teachers, where there is any."""
        at = batch.weights > 0
        logits = self.logits(features, batch, image_start)
        each = F.cross_entropy(logits.float(), batch.targets[at], reduction="none")
        if advice:
            divergences = torch.stack([divergence(logits, one) for one in advice])
            each = (1 - share) * each + share * divergences.mean(0)
        return (each * batch.weights[at]).sum() / batch.weights[at].sum()


@dataclass(frozen=True)
class Lessons:
    """What the decoder learns from.

    views: features of the same records, drawn and photographed differently; the epochs take them in turn. opinions: of
    each view's pages, None to answer by the labels alone. advice: what each teacher of the same vocabulary says of an
    epoch's pages (epoch, items), token by token. unsaid: codes that no answer names.
    """

    pack: Pack
    views: Sequence[Features]
    opinions: Sequence[Opinions] | None
    packer: Packer
    advice: Sequence[Callable[[int, np.ndarray], Advice]] = ()
    unsaid: frozenset[str] = frozenset()

    def view(self, epoch: int) -> Features:
        return self.views[epoch % len(self.views)]

    def dialogues(self, seed: int, epoch: int, item: int) -> list[list[Turn]]:
        """Those of one page of the epoch's view; they depend on (seed, epoch, item) alone."""
        view = epoch % len(self.views)
        row, rng = int(self.views[view].rows[item]), np.random.default_rng([seed, epoch, item])
        facts = facts_of(self.pack.labels[row], self.unsaid) if row >= 0 else Facts(is_ecg=False)
        opinion = None if self.opinions is None or row < 0 else self.opinions[view][item]
        return training_turns(facts, rng, opinion)


def train_decoder(
    lessons: Lessons,
    chosen_on: Features,
    text: Decoder,
    run: DecoderRun,
    out: Path,
    team: Team,
    begun: Mapping[str, Tensor] | None = None,
) -> Speaker:
    """Train on cached features, print figures on `chosen_on` after each epoch, return the averaged model.

    begun: the language model's first weights; None: random ones.

    The dialogues depend on (seed, epoch, page) alone, so a resumed run (out/decoder.pt) repeats an uninterrupted one,
    and a team of several one of one process. Raises UserError when the team cannot share a batch.
    """
    torch.manual_seed(run.seed)
    model = Speaker(lessons.views[0].tokens.shape[2], text)
    _initialise(model, text)
    if begun is not None:
        model.language_model.load_state_dict(begun)
    return _train(model.to(team.device), lessons, chosen_on, run, out / "decoder", team)


def train_rounded(
    model: Speaker, lessons: Lessons, chosen_on: Features, run: DecoderRun, out: Path, team: Team
) -> Speaker:
    """Go on from `model` with weights rounded as run.qat says, taught by `model` itself; log and figures are those of
    the rounded weights, and what is returned is the float weights beneath them. Resumes from out/rounded.pt.

    The teacher reads what the student reads, features and all, so its logits cost one more forward pass and no disk.
    """
    again = replace(run, epochs=run.qat_epochs, peak=run.qat_peak)
    student = copy.deepcopy(model).train()
    return _train(student, replace(lessons, advice=()), chosen_on, again, out / "rounded", team, model, run.epochs)


def _train(
    model: Speaker,
    lessons: Lessons,
    chosen_on: Features,
    run: DecoderRun,
    stem: Path,
    team: Team,
    itself: Speaker | None = None,
    first: int = 0,
) -> Speaker:
    """The loop of both stages; stem: of the log's and the state's names. itself: the model before it was rounded, in
    the rounded stage, whose epochs are counted from `first` on."""
    device, part, packer = team.device, team.part(run.batch), lessons.packer
    optimizer = torch.optim.AdamW(model.parameters(), run.peak, weight_decay=run.weight_decay, betas=(0.9, 0.98))
    average, log, step = Average(model, 0.998), Log(stem.with_suffix(".csv")), 0
    if state := load(stem.with_suffix(".pt"), device):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.state, average.steps, step = state["average"], state["average_steps"], state["step"]
    per_epoch = len(lessons.views[0].rows) // run.batch
    total, saved = per_epoch * run.epochs, time.monotonic()
    precision = None if itself is None or run.qat is None else Precision(run.qat)
    loss = model if precision is None else partial(call_rounded, model, precision)

    def keep() -> None:
        if not team.main:
            return
        state = {"average": average.state, "average_steps": average.steps, "step": step}
        save(stem.with_suffix(".pt"), model=model.state_dict(), optimizer=optimizer.state_dict(), **state)

    for epoch in range(step // per_epoch, run.epochs):
        model.train()
        losses: list[float] = []
        number, begun = first + epoch, step % per_epoch * run.batch
        order = np.random.default_rng([run.seed, number]).permutation(len(lessons.view(number).rows))[begun:]
        parts = _parts(lessons, run.seed, number, team.mine(order, run.batch), part)
        title = f"{stem.name} epoch {epoch + 1}/{run.epochs}"
        bar = tqdm(total=per_epoch, initial=step % per_epoch, desc=title, disable=not team.main)
        while taken := list(islice(parts, team.accumulate)):
            weights = [float(batch.weights.sum()) for _, batch, _ in taken]
            whole, error_of_step = team.sum(sum(weights)), 0.0
            for (tokens, batch, advice), weight in zip(taken, weights, strict=True):
                seen = tokens.to(device), _on(batch, device), packer.image_start
                with autocast(device):
                    if itself is not None:
                        with torch.no_grad():
                            advice = [advice_of(itself.logits(*seen))]
                    error = loss(*seen, [one.to(device) for one in advice], run.teacher_share)
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
            figures = evaluate(judged, lessons.pack, chosen_on, packer, device)
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
    lessons: Lessons, seed: int, epoch: int, order: np.ndarray, size: int
) -> Iterator[tuple[Tensor, Batch, list[Advice]]]:
    """The pages of `order`, `size` at a time."""
    for first in range(0, len(order), size):
        items = order[first : first + size]
        sequences = [lessons.packer.pack(lessons.dialogues(seed, epoch, int(item))) for item in items]
        advice = [advise(epoch, items) for advise in lessons.advice]
        yield torch.from_numpy(lessons.view(epoch).tokens[items].astype(np.float32)), collate(sequences), advice


@torch.no_grad()
def evaluate(model: Speaker, pack: Pack, features: Features, packer: Packer, device: torch.device) -> dict[str, float]:
    """Superclass figures from the likelihood of "Yes" against "No" after each finding's question."""
    # The first tokens decide: where a vocabulary spells the words in several, the rest is as good as certain.
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
