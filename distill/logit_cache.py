"""A language teacher of the student's own vocabulary reads the student's pages and dialogues, once: what it would say
at every token is cached beside it, and the decoder stage learns from that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from distill.decoder import DecoderRun, Lessons, Speaker
from distill.dialogues import Batch, Packer, collate
from distill.features import Features, cache_features
from distill.pages import Pages
from distill.teachers.language import LanguageTeacher
from distill.teachers.logits import Advice, AdviceCache, advice_of, cache_advice
from pulse.model.llava import Llava


def advise(
    teacher: LanguageTeacher, lessons: Lessons, drawn: Sequence[Pages], run: DecoderRun, workers: int = 1
) -> Callable[[int, np.ndarray], Advice]:
    """The teacher's advice on an epoch's pages, for Lessons.advice.

    drawn: the pages of each of the lessons' views, which it looks at with its own tower. What it saw and said lies in
    its folder; what is there is not computed again.
    """
    model, _ = teacher.model
    tower = model.vision_tower
    views = [
        cache_features(tower, pages, teacher.folder / f"features-{k}", teacher.device, workers)
        for k, pages in enumerate(drawn)
    ]
    ours, tokens = lessons.packer, views[0].tokens.shape[1]
    # Its image may take more tokens or fewer: the dialogues that fit are the same all the same.
    length = run.max_length - ours.image_tokens + tokens
    packer = Packer(ours.prompt, ours.tokenizer, tokens, ours.end, length)
    speaker = _speaker(model)

    @torch.no_grad()
    def ask(epoch: int, view: Features, items: range) -> list[Advice]:
        packed = [packer.pack(lessons.dialogues(run.seed, epoch, item)) for item in items]
        seen = torch.from_numpy(view.tokens[items.start : items.stop].astype(np.float32)).to(teacher.device)
        batch = Batch(*(value.to(teacher.device) for value in vars(collate(packed)).values()))
        said = advice_of(speaker.logits(seen, batch, packer.image_start))
        counts = [int((page.weights > 0).sum()) for page in packed]
        return [Advice(*pair) for pair in zip(said.ids.split(counts), said.logs.split(counts), strict=True)]

    caches: list[AdviceCache] = []
    for epoch in range(run.epochs):
        view = views[epoch % len(views)]

        def of_epoch(items: range, epoch: int = epoch, view: Features = view) -> list[Advice]:
            return ask(epoch, view, items)

        caches.append(cache_advice(teacher.folder / f"epoch-{epoch}", len(view.rows), of_epoch, run.batch))
    return lambda epoch, items: caches[epoch].of(items)


def _speaker(model: Llava) -> Speaker:
    """The model's projector and decoder."""
    with torch.device("meta"):
        speaker = Speaker(model.config.vision.hidden_size, model.config.text)
    speaker.multi_modal_projector, speaker.language_model = model.multi_modal_projector, model.language_model
    return speaker.eval()
