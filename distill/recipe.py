"""The recipe, from a PTB-XL folder to the 4-bit checkpoint: every stage resumes where it was cut off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.card import write_card
from distill.curves import draw_curves
from distill.dataset_cache import build_pack
from distill.decoder import DecoderRun, Lessons, train_decoder, train_rounded
from distill.dialogues import Packer
from distill.distributed import Team
from distill.features import cache_features
from distill.logit_cache import advise
from distill.pages import PageMix, Pages, shuffled
from distill.ship import ship
from distill.soft_targets import opinions_of
from distill.students import STUDENTS
from distill.targets import build_targets, softened
from distill.teachers.language import LanguageTeacher, mean_told, report
from distill.teachers.signal import SignalRun, teach
from distill.tokens import rare_codes
from distill.tower import TowerRun, train_tower
from edge_runtime.errors import UserError
from edge_runtime.manifest import PromptSpec
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import ConvVision, Decoder, EfficientVision, GridVision
from quantize.checkpoint import quantize_checkpoint
from quantize.precision import Precision

TRAIN_FOLDS, CHOSEN_ON = (1, 2, 3, 4, 5, 6, 7, 8), 9
VISION = ConvVision(channels=(16, 64, 128, 256), blocks=(0, 1, 2, 2), batch_norm=True, pool=3)
TEXT = Decoder(
    vocab_size=1024,
    hidden_size=192,
    intermediate_size=512,
    num_hidden_layers=4,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=1024,
)
SCHEME = "int4-g32"


@dataclass(frozen=True)
class Recipe:
    """student: one of distill.students.STUDENTS; vision and text are its sizes. limit: use only so many records of the
    training folds and of the chosen-on fold, for a trial; 0 is all.

    signal: the teacher that reads the leads themselves, None without it; language: checkpoints that teach as well,
    teacher_bits: their decoders held in 4 or 8 bits, None as they are.
    Without any teacher the student learns the data's labels alone.
    views: how many differently drawn pages of each record the decoder sees; workers draw pages beside the training and
    change nothing but the speed.
    """

    student: str = "nano"
    signal: SignalRun | None = field(default_factory=SignalRun)
    language: tuple[str, ...] = ()
    teacher_bits: int | None = None
    tower: TowerRun = field(default_factory=TowerRun)
    decoder: DecoderRun = field(default_factory=DecoderRun)
    vision: GridVision = VISION
    text: Decoder = TEXT
    views: int = 2
    limit: int = 0


# The first 8,192 of SmolLM2's 49,152 tokens: all of them would be 114 MB of float16 tables. 1,024 positions: nano's.
SMOL = Decoder(
    vocab_size=8192,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    head_dim=64,
    rope_theta=1e5,
    max_position_embeddings=1024,
)


def recipe_of(student: str, device: torch.device) -> Recipe:
    """The default recipe of a student.

    A GPU trains the whole tower of small. Elsewhere it stays as ImageNet left it and its head alone learns: depthwise
    convolutions train an order slower on a CPU than dense ones. Its decoder is trained whole everywhere.
    """
    if student == "nano":
        return Recipe()
    trained = device.type == "cuda"
    return Recipe(
        student=student,
        tower=TowerRun(epochs=4, peak=5e-4, frozen=not trained),
        decoder=DecoderRun(peak=2e-4, max_length=512),
        vision=EfficientVision(batch_norm=trained),
        text=SMOL,
    )


def distill(data: Path, out: Path, recipe: Recipe, device: torch.device, accumulate: int = 1) -> Path:
    """Train a student on a PTB-XL folder; everything it makes stays in `out`. Returns the 4-bit checkpoint's folder.

    The same recipe and data give the same pages and dialogues, in the same order, whatever the number of processes and
    of the parts (accumulate) that they take a batch in. Raises UserError when `out` holds a run of another recipe, or
    `data` is no PTB-XL folder.
    """
    team, student = Team(device, accumulate), STUDENTS[recipe.student]
    device = team.device
    settings = json.loads(json.dumps(asdict(recipe)))
    _check_recipe(out / "recipe.json", settings)
    for name in (recipe.tower.start, *recipe.language):
        if name:
            Checkpoint.open(name)  # refused now, not after the hours before it is read
    student.check(recipe.text)
    try:
        with team.main_first():
            pack = build_pack(data, out / "pack")
        if team.main:
            (out / "recipe.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot write there ({error.strerror}); give another --out") from None
    limit = recipe.limit or len(pack)
    train, chosen_on = pack.rows(TRAIN_FOLDS)[:limit], pack.rows((CHOSEN_ON,))[:limit]
    if len(train) < (batch := max(recipe.tower.batch, recipe.decoder.batch)):
        raise UserError(f"{len(train)} records to train on do not fill one batch of {batch}; give more")
    spec, seed = student.spec, recipe.tower.seed
    targets, rows = build_targets(pack, train), (train, chosen_on)
    with team.main_first():
        teachers = [
            LanguageTeacher(name, out / f"teacher-{k}", device, recipe.teacher_bits)
            for k, name in enumerate(recipe.language, 1)
        ]
        said = {} if recipe.signal is None else {"signal": teach(pack, targets, rows, recipe.signal, out, device)}
        said |= {teacher.name: teacher.told(pack, targets, np.concatenate(rows)) for teacher in teachers}
        told = mean_told(list(said.values()))
        if team.main:
            report(said, targets, chosen_on, out)
    seeing = train_tower(
        pack, targets, rows, recipe.vision, spec, recipe.tower, out, team, told, student.tower_state(recipe.vision)
    )
    tower = seeing.tower

    path = out / "tokenizer.json"
    views, drawn = [], []
    opinions = None
    with team.main_first():
        if not path.exists():
            student.write_tokenizer(pack, train[:6000], path, recipe.text)
        for view in range(recipe.views):
            epoch = recipe.tower.epochs + view  # pages that the tower was not trained on
            pages = Pages(pack, shuffled(train, seed, epoch), spec, PageMix(), seed)
            pages.epoch = epoch
            drawn.append(pages)
            views.append(cache_features(tower, pages, out / f"features-{view}", device, recipe.tower.workers))
        plain = Pages(pack, chosen_on, spec, None)
        judged = cache_features(tower, plain, out / "features-plain", device, recipe.tower.workers)
        if told is not None:
            mixed = softened(targets, told, recipe.tower.teacher_share)
            opinions = opinions_of(views, judged, seeing.head, targets, mixed, out)
    tokenizer = Tokenizer(path)
    prompt = Prompt(PromptSpec(**student.prompt), tokenizer, None, student.end)
    packer = Packer(prompt, tokenizer, judged.tokens.shape[1], student.end, recipe.decoder.max_length)
    text = replace(recipe.text, vocab_size=tokenizer.vocab_size)
    lessons = Lessons(pack, views, opinions, packer, unsaid=rare_codes(pack, train))
    with team.main_first():
        advice = [
            advise(teacher, lessons, drawn, recipe.decoder, recipe.tower.workers)
            for teacher in teachers
            if teacher.speaks_like(path, spec)
        ]
    lessons = replace(lessons, advice=advice)
    speaker = train_decoder(lessons, judged, text, recipe.decoder, out, team, student.decoder_state(text))
    if recipe.decoder.qat is not None:
        speaker = train_rounded(speaker, lessons, judged, recipe.decoder, out, team)

    whole, small = out / f"{student.name}-float16", out / student.name
    if not team.main:
        return small
    draw_curves(out)
    ship(student, tower.cpu(), recipe.vision, speaker.cpu(), text, path, whole)
    shutil.rmtree(small, ignore_errors=True)
    quantize_checkpoint(Checkpoint.open(whole), small, Precision(recipe.decoder.qat or SCHEME))
    for checkpoint in (whole, small):
        write_card(student, checkpoint, out, len(train), len(chosen_on))
    return small


def _check_recipe(path: Path, ours: Mapping[str, Any]) -> None:
    """A run goes on with the recipe that it was begun with."""
    if path.exists() and (changed := sorted(_changed(json.loads(path.read_text(encoding="utf-8")), ours))):
        raise UserError(f"{path.parent}: holds a run with other settings ({', '.join(changed)}); give another --out")


# What may differ when a run is taken up again: it changes no page and no weight.
_FREE = ("tower.workers", "tower.save_every_s", "decoder.save_every_s")


def _changed(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key in a.keys() | b.keys():
        name, old, new = prefix + key, a.get(key), b.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _changed(old, new, f"{name}.")
        elif old != new and name not in _FREE:
            names.append(name)
    return names
