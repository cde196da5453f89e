"""Stage two: projector and decoder learn to answer questions from the tower's features; stage three: the same once
more with rounded weights, taught by what they were before they were rounded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distill.dataset_cache import DatasetCache
from distill.dialogues import Packer, collate
from distill.distributed import Distributed
from distill.features import Features
from distill.lessons import Lesson, Lessons
from distill.loop import Average, Log, Resumable, autocast, clip, learning_rate
from distill.runs import DecoderRun
from distill.speaker import Speaker, initialise
from distill.student import Student
from distill.token_logits import top_logits
from distill.tokens import facts_of
from distill.validation import figures, in_words
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.questions import NO, YES, Turn, finding_question
from quantize.precision import Precision
from quantize.qat import call_rounded, rounded


def train_decoder(
    lessons: Lessons, validation: Features, student: Student, out: Path, distributed: Distributed
) -> Speaker:
    """Train on cached features, log figures on `validation` after each epoch, return the averaged model.

    The dialogues depend on (seed, epoch, page) alone, so a resumed run (out/decoder.pt) repeats an uninterrupted one,
    and several processes repeat one. Raises UserError when the processes cannot share a batch.
    """
    torch.manual_seed(student.decoder.seed)
    model = Speaker(lessons.views[0].tokens.shape[2], student.text)
    initialise(model, student.text)
    if (state := student.decoder_state()) is not None:
        model.language_model.load_state_dict(state)
    stage = _Stage(lessons, validation, student.decoder, out / "decoder", distributed)
    return stage.train(model.to(distributed.device))


def train_rounded(
    model: Speaker, lessons: Lessons, validation: Features, run: DecoderRun, out: Path, distributed: Distributed
) -> Speaker:
    """Go on from `model` with weights rounded as run.qat says, taught by `model` itself; log and figures are those of
    the rounded weights, and what is returned is the float weights beneath them. Resumes from out/rounded.pt.

    The teacher reads what the student reads, features and all, so its logits cost one more forward pass and no disk.
    """
    again = replace(run, epochs=run.qat_epochs, peak=run.qat_peak)
    alone = replace(lessons, token_logits=())
    stage = _Stage(alone, validation, again, out / "rounded", distributed, itself=model, first=run.epochs)
    return stage.train(copy.deepcopy(model).train())


@dataclass(frozen=True)
class _Stage:
    """The loop of both stages. stem: of the log's and the state's names. itself: the model before it was rounded, in
    the rounded stage, whose epochs are counted from `first` on."""

    lessons: Lessons
    validation: Features
    run: DecoderRun
    stem: Path
    distributed: Distributed
    itself: Speaker | None = None
    first: int = 0

    @property
    def precision(self) -> Precision | None:
        return None if self.itself is None or self.run.qat is None else Precision(self.run.qat)

    @property
    def per_epoch(self) -> int:
        return len(self.lessons.views[0].rows) // self.run.batch

    def train(self, model: Speaker) -> Speaker:
        run, distributed = self.run, self.distributed
        distributed.part(run.batch)
        optimizer = torch.optim.AdamW(model.parameters(), run.peak, weight_decay=run.weight_decay, betas=(0.9, 0.98))
        average, log = Average(model, 0.998), Log(self.stem.with_suffix(".csv"))
        state = Resumable(self.stem.with_suffix(".pt"), model, optimizer, average, run.save_every_s, distributed.main)
        state.restore(distributed.device)
        for epoch in range(state.step // self.per_epoch, run.epochs):
            losses = self.epoch(epoch, model, state)
            state.save()
            mean = distributed.sum(float(np.mean(losses)) if losses else 0.0) / distributed.size
            if distributed.main:
                found = self.judged(_averaged(model, average))
                log.write({"epoch": epoch + 1, "step": state.step, "loss": mean, **found})
                tqdm.write(f"validation fold, epoch {epoch + 1}: {in_words(found)}")
            distributed.wait()
        return _averaged(model, average)

    def epoch(self, epoch: int, model: Speaker, state: Resumable) -> list[float]:
        """The rest of an epoch; the loss of each of its steps."""
        run, distributed, lessons = self.run, self.distributed, self.lessons
        model.train()
        losses: list[float] = []
        number, done = self.first + epoch, state.step % self.per_epoch
        order = np.random.default_rng([run.seed, number]).permutation(len(lessons.view(number).rows))
        share = distributed.share(order[done * run.batch :], run.batch)
        parts = lessons.batches(run.seed, number, share, distributed.part(run.batch))
        title = f"{self.stem.name} epoch {epoch + 1}/{run.epochs}"
        bar = tqdm(total=self.per_epoch, initial=done, desc=title, disable=not distributed.main)
        loss = model if self.precision is None else partial(call_rounded, model, self.precision)
        while taken := list(islice(parts, distributed.accumulate)):
            losses.append(self.backward(taken, loss))
            distributed.average(model)
            clip(model)
            state.update(learning_rate(state.step / (self.per_epoch * run.epochs), run.peak))
            bar.update()
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}")
        bar.close()
        return losses

    def backward(self, taken: list[Lesson], loss: Callable[..., Tensor]) -> float:
        """Gradients of the loss over the parts of a batch that this process takes; returns that loss."""
        distributed, image_start = self.distributed, self.lessons.packer.image_start
        weights = [float(lesson.batch.weights.sum()) for lesson in taken]
        whole, total = distributed.sum(sum(weights)), 0.0
        for lesson, weight in zip((one.to(distributed.device) for one in taken), weights, strict=True):
            logits = lesson.token_logits
            with autocast(distributed.device):
                if self.itself is not None:
                    with torch.no_grad():
                        logits = [top_logits(self.itself.logits(lesson.features, lesson.batch, image_start))]
                error = loss(lesson.features, lesson.batch, image_start, logits, self.run.teacher_share)
            # Its share of the mean over the whole batch; the average over the processes divides by their number.
            error = error * (weight / whole * distributed.size)
            error.backward()
            total += float(error.detach())
        return total

    def judged(self, model: Speaker) -> dict[str, float]:
        """Figures of the model, rounded in the rounded stage."""
        if self.precision is not None:
            model.load_state_dict(rounded(model.state_dict(), self.precision))
        return evaluate(model, self.lessons.cache, self.validation, self.lessons.packer, self.distributed.device)


def _averaged(model: Speaker, average: Average) -> Speaker:
    other = Speaker(model.multi_modal_projector.linear_1.in_features, model.language_model.model.config)
    other.load_state_dict(average.state)
    return other.to(next(model.parameters()).device).eval()


@torch.no_grad()
def evaluate(
    model: Speaker, cache: DatasetCache, features: Features, packer: Packer, device: torch.device
) -> dict[str, float]:
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
        batch = collate([packed] * len(tokens)).to(device)
        logits = model.language_model.lm_head(model.hidden(tokens, batch, packer.image_start)[:, at]).float()
        probability.append((logits[..., yes] - logits[..., no]).sigmoid().cpu())
        for row in features.rows[first : first + 64]:
            classes = facts_of(cache.labels[int(row)]).classes()
            truth.append([label in classes for label in SUPERCLASSES])
    return figures(np.array(truth, int), torch.cat(probability).numpy())
