"""A checkpoint of the student's own vocabulary and pages reads the student's dialogues, once: its logits at every token
of the answers are cached, and the decoder learns from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from distill.dialogues import Packer, collate
from distill.features import Features, cache_features
from distill.lessons import Lessons
from distill.logit_cache import cache_logits
from distill.pages import Pages
from distill.runs import DecoderRun
from distill.speaker import Speaker
from distill.teacher import AskForLogits, Workspace
from distill.token_logits import TokenLogits, top_logits
from edge_runtime.preprocess import PreprocessSpec
from pulse.model.llava import Llava

if TYPE_CHECKING:
    from distill.teachers.checkpoint import CheckpointTeacher


def token_logits(
    teacher: CheckpointTeacher, lessons: Lessons, pages: Sequence[Pages], run: DecoderRun, workspace: Workspace
) -> AskForLogits | None:
    """As Teacher.token_logits. Features and logits lie in the workspace; what is there is not computed again."""
    folder, device = workspace.folder, workspace.device
    if not shares_words_and_pages(teacher, lessons.tokenizer_file, pages[0].spec, folder):
        tqdm.write(f"teacher {teacher.name}: has its own words or pages, so it teaches by its probabilities alone")
        return None
    model = teacher.loaded(device)
    views = [
        cache_features(model.vision_tower, one, folder / f"features-{k}", device, workspace.workers)
        for k, one in enumerate(pages)
    ]
    packer, speaker = _packer(lessons.packer, views[0], run), _speaker(model)
    caches = []
    for epoch in range(run.epochs):
        view = views[epoch % len(views)]
        ask = _asked(speaker, packer, lessons, view, (run.seed, epoch), device)
        caches.append(cache_logits(folder / f"epoch-{epoch}", len(view.rows), ask, run.batch))
    return lambda epoch, items: caches[epoch].of(items)


def shares_words_and_pages(teacher: CheckpointTeacher, tokenizer: Path, spec: PreprocessSpec, folder: Path) -> bool:
    """Whether its logits are about the tokens of a student's tokenizer.json, seen on pages of the student's spec."""
    ours, theirs = (json.loads(path.read_text("utf-8")) for path in (tokenizer, teacher.tokenizer(folder)))
    if ours != theirs:
        return False
    return teacher.checkpoint.config.inference.preprocess == spec


def _packer(ours: Packer, seen: Features, run: DecoderRun) -> Packer:
    """The student's, for the teacher's image: it may take more tokens or fewer, the dialogues that fit are the same."""
    tokens = seen.tokens.shape[1]
    return Packer(ours.prompt, ours.tokenizer, tokens, ours.end, run.max_length - ours.image_tokens + tokens)


def _asked(
    speaker: Speaker, packer: Packer, lessons: Lessons, view: Features, at: tuple[int, int], device: torch.device
) -> Callable[[range], list[TokenLogits]]:
    """Pages of one epoch -> the logits of each; at: seed and epoch."""

    @torch.no_grad()
    def ask(items: range) -> list[TokenLogits]:
        packed = [packer.pack(lessons.dialogues(*at, item)) for item in items]
        seen = torch.from_numpy(view.tokens[items.start : items.stop].astype(np.float32)).to(device)
        top = top_logits(speaker.logits(seen, collate(packed).to(device), packer.image_start))
        counts = [int((page.weights > 0).sum()) for page in packed]
        return [TokenLogits(*pair) for pair in zip(top.ids.split(counts), top.logs.split(counts), strict=True)]

    return ask


def _speaker(model: Llava) -> Speaker:
    """The model's projector and decoder."""
    with torch.device("meta"):
        speaker = Speaker(model.config.vision.hidden_size, model.config.text)
    speaker.multi_modal_projector, speaker.language_model = model.multi_modal_projector, model.language_model
    return speaker.eval()
