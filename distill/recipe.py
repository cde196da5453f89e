"""The recipe, from a PTB-XL folder to the 4-bit checkpoint: every stage resumes where it was cut off."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.calibration import FINDINGS, calibrate, copy_calibration
from distill.card import write_card
from distill.curves import draw_curves
from distill.dataset_cache import build_dataset_cache
from distill.decoder import train_decoder, train_rounded
from distill.dialogues import Packer
from distill.distributed import Distributed
from distill.features import Features, cache_features
from distill.head import fit_head, log_head
from distill.lessons import Lessons
from distill.pages import PageMix, Pages, shuffled
from distill.ship import inference_of, ship
from distill.soft_targets import soft_targets_of
from distill.speaker import Speaker
from distill.student import Student
from distill.teacher import Teacher, Workspace
from distill.teaching import kept_probabilities, mean_probabilities, report, settings_of
from distill.tokens import rare_codes
from distill.tower import TowerWithHead, train_tower
from distill.training_set import TrainingSet, split
from edge_runtime.errors import UserError
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.resume import check_same, write_recipe
from quantize.checkpoint import quantize_checkpoint
from quantize.precision import Precision

SCHEME = "int4-g32"
TOKENIZER_RECORDS = 6000


# What may differ when a run is taken up again: it changes no page and no weight.
_MAY_DIFFER = ("student.tower.workers", "student.tower.save_every_s", "student.decoder.save_every_s")


@dataclass(frozen=True)
class Recipe:
    """student: with the sizes and the runs of its stages. teachers: whoever is asked besides the labels; without any
    the student learns the data's labels alone. limit: use only so many records of the training and the validation
    folds, for a trial; 0 is all."""

    student: Student
    teachers: tuple[Teacher, ...] = ()
    limit: int = 0

    def settings(self) -> dict[str, Any]:
        """As recipe.json has them."""
        student: dict[str, Any] = json.loads(json.dumps(asdict(self.student)))
        return {"student": student, "teachers": [settings_of(one) for one in self.teachers], "limit": self.limit}

    def check(self) -> None:
        """Raises UserError, before anything is trained, for what would fail hours later."""
        names = [teacher.name for teacher in self.teachers]
        if len(set(names)) < len(names):
            raise UserError(f"two teachers have the same name ({', '.join(names)}); leave one out of --teacher")
        if self.student.tower.start:
            Checkpoint.open(self.student.tower.start)
        elif self.student.tower.epochs == 0:
            raise UserError("--tower-epochs 0 keeps the tower of a checkpoint; name it with --start")
        for teacher in self.teachers:
            teacher.check()
        inference_of(self.student)
        self.student.check()


@dataclass(frozen=True)
class _Run:
    """A recipe at work in the folder `out`."""

    recipe: Recipe
    out: Path
    distributed: Distributed
    data: TrainingSet

    @property
    def student(self) -> Student:
        return self.recipe.student

    @property
    def tokenizer_file(self) -> Path:
        return self.out / "tokenizer.json"

    def workspace(self, number: int) -> Workspace:
        """Of the teacher of that number, from 1."""
        return Workspace(self.out / f"teacher-{number}", self.distributed.device, self.student.tower.workers)


def distill(data: Path, out: Path, recipe: Recipe, device: torch.device, accumulate: int = 1) -> Path:
    """Train a student on a PTB-XL folder; everything it makes stays in `out`. Returns the 4-bit checkpoint's folder.

    The same recipe and data give the same pages and dialogues, in the same order, whatever the number of processes and
    of the parts (accumulate) that they take a batch in. Raises UserError when `out` holds a run of another recipe, or
    `data` is no PTB-XL folder.
    """
    distributed = Distributed(device, accumulate)
    run = _Run(recipe, out, distributed, _begin(data, out, recipe, distributed))
    with distributed.main_first():
        soft = _ask_teachers(run)
    seeing = train_tower(run.data, run.student, out, distributed, soft)
    with distributed.main_first():
        pages, views, validation = _look(run, seeing)
        if run.student.tower.epochs == 0:
            fit_head(seeing.head, views, run.data, soft, run.student.tower.teacher_share)
            if distributed.main:
                log_head(seeing.head, validation, run.data, out)
        lessons = _lessons(run, seeing, soft, views, validation)
    student = replace(run.student, text=replace(run.student.text, vocab_size=lessons.packer.tokenizer.vocab_size))
    with distributed.main_first():
        lessons = replace(lessons, token_logits=_ask_for_logits(run, lessons, pages))
    speaker = train_decoder(lessons, validation, student, out, distributed)
    if student.decoder.qat is not None:
        speaker = train_rounded(speaker, lessons, validation, student.decoder, out, distributed)
    if distributed.main:
        _write(run, student, seeing, speaker)
    return out / student.name


def _begin(data: Path, out: Path, recipe: Recipe, distributed: Distributed) -> TrainingSet:
    """The records, cached in the run's folder, which from now on holds a run of this recipe."""
    check_same(out, recipe.settings(), _MAY_DIFFER)
    recipe.check()
    try:
        with distributed.main_first():
            cache = build_dataset_cache(data, out / "dataset-cache")
        if distributed.main:
            write_recipe(out, recipe.settings())
    except OSError as error:
        raise UserError(f"{out}: cannot write there ({error.strerror}); give another --out") from None
    return split(cache, recipe.limit, max(recipe.student.tower.batch, recipe.student.decoder.batch))


def _ask_teachers(run: _Run) -> np.ndarray | None:
    """The mean of the teachers' probabilities [n, k]; None without teachers."""
    found = {
        teacher.name: kept_probabilities(teacher, run.data, run.workspace(number))
        for number, teacher in enumerate(run.recipe.teachers, 1)
    }
    if run.distributed.main:
        report(found, run.data, run.out)
    return mean_probabilities(list(found.values()))


def _look(run: _Run, seeing: TowerWithHead) -> tuple[list[Pages], list[Features], Features]:
    """Pages of the training records that the tower was not trained on, what it sees there, and what it sees on the
    plain pages of the validation records."""
    student, data, device = run.student, run.data, run.distributed.device
    seed, workers, pages = student.tower.seed, student.tower.workers, []
    for epoch in range(student.tower.epochs, student.tower.epochs + student.views):
        one = Pages(data.cache, shuffled(data.train, seed, epoch), student.preprocess, PageMix(), seed)
        one.epoch = epoch
        pages.append(one)
    views = [
        cache_features(seeing.tower, one, run.out / f"features-{view}", device, workers)
        for view, one in enumerate(pages)
    ]
    plain = Pages(data.cache, data.validation, student.preprocess, None)
    return pages, views, cache_features(seeing.tower, plain, run.out / "features-plain", device, workers)


def _lessons(
    run: _Run, seeing: TowerWithHead, soft: np.ndarray | None, views: list[Features], validation: Features
) -> Lessons:
    """What the decoder learns of these views, without its teachers' token logits."""
    student, data, path = run.student, run.data, run.tokenizer_file
    if not path.exists():
        student.write_tokenizer(data.cache, data.train[:TOKENIZER_RECORDS], path)
    soft_targets = None
    if soft is not None:
        share = student.tower.teacher_share
        soft_targets = soft_targets_of(views, validation, seeing.head, data, soft, share, run.out)
    tokenizer = Tokenizer(path)
    prompt = Prompt(student.prompt, tokenizer, None, student.end)
    packer = Packer(prompt, tokenizer, validation.tokens.shape[1], student.end, student.decoder.max_length)
    return Lessons(data.cache, views, soft_targets, packer, path, unsaid=rare_codes(data.cache, data.train))


def _ask_for_logits(run: _Run, lessons: Lessons, pages: list[Pages]) -> list[Any]:
    """Token logits of the teachers that give any."""
    decoder = run.student.decoder
    asked = [
        teacher.token_logits(lessons, pages, decoder, run.workspace(number))
        for number, teacher in enumerate(run.recipe.teachers, 1)
    ]
    return [logits for logits in asked if logits is not None]


def _write(run: _Run, student: Student, seeing: TowerWithHead, speaker: Speaker) -> None:
    """The float16 checkpoint, the 4-bit checkpoint made of it, and the card of either."""
    whole, small = run.out / f"{student.name}-float16", run.out / student.name
    ship(student, seeing.tower.cpu(), speaker.cpu(), run.tokenizer_file, whole)
    shutil.rmtree(small, ignore_errors=True)
    quantize_checkpoint(Checkpoint.open(whole), small, Precision(student.decoder.qat or SCHEME))
    workspace = Workspace(run.out / "calibration", run.distributed.device, student.tower.workers)
    calibrate(small, run.data, workspace, run.out / FINDINGS)
    draw_curves(run.out)
    copy_calibration(small, whole)
    for checkpoint in (whole, small):
        write_card(run.recipe, checkpoint, run.out, run.data)
