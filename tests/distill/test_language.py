"""Checkpoints as teachers: what they think of the records, what they would say token by token, and several at once."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill import logit_cache as advising
from distill.dataset_cache import Pack
from distill.decoder import Lessons, Speaker
from distill.dialogues import Packer, collate
from distill.features import cache_features
from distill.logit_cache import advise
from distill.pages import PageMix, Pages
from distill.recipe import Recipe, distill
from distill.students import NANO
from distill.targets import build_targets
from distill.teachers import language
from distill.teachers.language import LanguageTeacher, mean_told
from distill.teachers.logits import Advice, advice_of, cache_advice, divergence
from edge_runtime.errors import UserError
from edge_runtime.manifest import PromptSpec
from edge_runtime.prompt import Prompt
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.paper.render import render
from pulse.ecg.ptbxl import SUPERCLASSES
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from quantize.precision import Precision
from tests.golden import GOLDEN

CPU = torch.device("cpu")
PULSE = GOLDEN / "a" / "checkpoint"  # PULSE's own format and vocabulary, with two layers


@pytest.fixture(scope="module")
def student(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student's run, which can teach another one."""
    from .conftest import tiny_recipe

    out = tmp_path_factory.mktemp("student")
    distill(data, out, replace(tiny_recipe(), signal=None), CPU)
    return out


def test_divergence_by_hand() -> None:
    """Two tokens are kept of four; the other two count as one."""
    teacher = torch.tensor([[0.5, 0.3, 0.1, 0.1]])
    ours = torch.tensor([[0.25, 0.25, 0.4, 0.1]])
    advice = Advice(torch.tensor([[0, 1]]), teacher[:, :2].log())
    wanted = 0.5 * np.log(0.5 / 0.25) + 0.3 * np.log(0.3 / 0.25) + 0.2 * np.log(0.2 / 0.5)
    assert divergence(ours.log(), advice).item() == pytest.approx(wanted, rel=1e-5)
    assert divergence(teacher.log(), advice).item() == pytest.approx(0, abs=1e-6)


def test_learning_from_advice_alone_ends_at_the_teacher() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 40) * 2, torch.zeros(5, 40, requires_grad=True)
    advice, optimizer = advice_of(teacher), torch.optim.Adam([student], 0.05)
    before = divergence(student, advice).mean().item()
    for _ in range(300):
        optimizer.zero_grad()
        divergence(student, advice).mean().backward()
        optimizer.step()
    assert divergence(student, advice).mean().item() < 0.01 * before
    torch.testing.assert_close(student.softmax(-1).gather(-1, advice.ids), advice.logs.exp(), atol=0.02, rtol=0)


def test_a_teacher_of_other_words_says_what_its_bundle_would_say(pack: Pack, tmp_path: Path) -> None:
    """PULSE's own format: the likelihoods are those that the device runtime finds with the same model."""
    rows = np.arange(4)
    targets = build_targets(pack, rows)
    teacher = LanguageTeacher(str(PULSE), tmp_path / "teacher", CPU)
    told = teacher.told(pack, targets, rows)
    session = _session(PULSE, tmp_path)
    findings = {f.label: f.probability for f in session.look(render(pack.record(2)).image).findings()}
    columns = targets.columns
    asked = [label for label in findings if label in columns]
    assert set(asked) >= {"NORM", "MI", "STTC", "CD", "HYP"}
    assert [columns[label] for label in SUPERCLASSES] == [0, 1, 2, 3, 4]
    for label in asked:
        assert told[2, columns[label]] == pytest.approx(findings[label], abs=1e-5)
    others = np.delete(told, [columns[label] for label in asked], axis=1)
    assert np.isnan(others).all()
    assert np.isnan(told[4:]).all()
    (tmp_path / "tokenizer.json").write_text("{}")
    assert not teacher.speaks_like(tmp_path / "tokenizer.json", NANO.spec)


def test_in_nf4_it_thinks_nearly_the_same(pack: Pack, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    rows = np.arange(2)
    targets = build_targets(pack, rows)
    quantize_checkpoint(Checkpoint.open(PULSE), tmp_path / "nf4", Precision("nf4"))
    whole, small = (
        LanguageTeacher(str(source), tmp_path / name, CPU).told(pack, targets, rows)
        for name, source in (("a", PULSE), ("b", tmp_path / "nf4"))
    )
    assert np.array_equal(np.isnan(whole), np.isnan(small))
    assert 0 < np.nanmean(np.abs(whole - small)) < 0.1


@pytest.mark.parametrize(("bits", "most"), [(4, 0.1), (8, 0.03)])
def test_held_in_few_bits_it_thinks_nearly_the_same(pack: Pack, tmp_path: Path, bits: int, most: float) -> None:
    pytest.importorskip("bitsandbytes")
    rows = np.arange(2)
    targets = build_targets(pack, rows)
    whole = LanguageTeacher(str(PULSE), tmp_path / "a", CPU).told(pack, targets, rows)
    small = LanguageTeacher(str(PULSE), tmp_path / "b", CPU, bits).told(pack, targets, rows)
    assert np.array_equal(np.isnan(whole), np.isnan(small))
    assert 0 < np.nanmean(np.abs(whole - small)) < most
    with pytest.raises(UserError, match="another teacher"):
        LanguageTeacher(str(PULSE), tmp_path / "b", CPU, 12 - bits)


def test_it_is_asked_once_and_goes_on_where_it_was_cut_off(
    pack: Pack, tmp_path: Path, student: Path, monkeypatch
) -> None:
    rows = np.arange(5)
    targets = build_targets(pack, rows)
    name, folder = str(student / "pulse-nano"), tmp_path / "cut"
    wanted = LanguageTeacher(name, tmp_path / "whole", CPU).told(pack, targets, rows)
    monkeypatch.setattr(language, "_KEPT_EVERY", 2)
    looks, ask = [], language._Look.probabilities

    def cut_off(self, page, findings):
        looks.append(page)
        if len(looks) == 4:
            raise KeyboardInterrupt
        return ask(self, page, findings)

    monkeypatch.setattr(language._Look, "probabilities", cut_off)
    with pytest.raises(KeyboardInterrupt):
        LanguageTeacher(name, folder, CPU).told(pack, targets, rows)
    got = LanguageTeacher(name, folder, CPU).told(pack, targets, rows)
    assert len(looks) == 4 + 3  # two of three were kept
    assert np.array_equal(got, wanted, equal_nan=True)
    assert np.array_equal(LanguageTeacher(name, folder, CPU).told(pack, targets, rows), wanted, equal_nan=True)
    assert len(looks) == 4 + 3
    with pytest.raises(UserError, match="another teacher"):
        LanguageTeacher(str(PULSE), folder, CPU)


def test_advice_is_kept_by_page_and_resumes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pages = [torch.randn(n, 30) for n in (3, 0, 2, 4, 1)]
    asked = []

    def ask(items: range) -> list[Advice]:
        asked.append(items)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return [advice_of(pages[k]) for k in items]

    with pytest.raises(KeyboardInterrupt):
        cache_advice(tmp_path, len(pages), ask, batch=2)
    with open(tmp_path / "ids", "ab") as file:
        file.write(b"half a page")  # what a kill left behind the last note
    cache = cache_advice(tmp_path, len(pages), ask, batch=2)
    assert asked == [range(2), range(2, 4), range(2, 4), range(4, 5)]
    got = cache.of([3, 0])
    wanted = [advice_of(pages[k]) for k in (3, 0)]
    assert torch.equal(got.ids, torch.cat([one.ids for one in wanted]))
    torch.testing.assert_close(got.logs, torch.cat([one.logs for one in wanted]), atol=5e-3, rtol=1e-3)
    cache_advice(tmp_path, len(pages), ask, batch=2)
    assert len(asked) == 4


def test_a_teacher_of_the_same_words_advises_on_the_very_tokens(
    pack: Pack, tmp_path: Path, student: Path, tiny: Recipe
) -> None:
    """Its advice on a page is what its own decoder makes of the student's dialogues behind its own features."""
    run, rows = replace(tiny.decoder, epochs=1), np.arange(6)
    teacher = LanguageTeacher(str(student / "pulse-nano-float16"), tmp_path / "teacher", CPU)
    assert teacher.speaks_like(student / "tokenizer.json", NANO.spec)
    pages = Pages(pack, rows, NANO.spec, PageMix(), 1)
    views = [cache_features(teacher.model[0].vision_tower, pages, tmp_path / "features", CPU, 0)]
    tokenizer = Tokenizer(student / "tokenizer.json")
    packer = Packer(
        Prompt(PromptSpec(**NANO.prompt), tokenizer, None), tokenizer, views[0].tokens.shape[1], NANO.end, 384
    )
    lessons = Lessons(pack, views, None, packer)
    advice = advise(teacher, lessons, [pages], run, 0)(0, np.array([4, 1]))
    model, config = (
        load_model(Checkpoint.open(student / "pulse-nano-float16")),
        Checkpoint.open(student / "pulse-nano-float16").config,
    )
    speaker = Speaker(config.vision.hidden_size, config.text)
    speaker.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("vision_tower")})
    batch = collate([packer.pack(lessons.dialogues(run.seed, 0, item)) for item in (4, 1)])
    with torch.no_grad():
        seen = torch.from_numpy(views[0].tokens[[4, 1]].astype(np.float32))
        said = speaker.logits(seen, batch, packer.image_start)
    torch.testing.assert_close(advice.logs, said.log_softmax(-1).gather(-1, advice.ids), atol=2e-2, rtol=1e-3)
    # Of a model that is hardly trained, so that the divergences are small ones.
    assert divergence(said, advice).abs().mean() < 0.1 * divergence(said.flip(0), advice).mean()


def test_the_mean_is_over_those_who_say_something() -> None:
    nan = np.nan
    a, b = np.array([[0.2, nan, nan]], np.float32), np.array([[0.4, 0.6, nan]], np.float32)
    np.testing.assert_allclose(mean_told([a, b]), [[0.3, 0.6, nan]], rtol=1e-6)
    assert np.array_equal(mean_told([b]), b, equal_nan=True)
    assert mean_told([]) is None


def test_several_teach_one_student(
    data: Path, tiny: Recipe, student: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    recipe = replace(tiny, language=(str(student / "pulse-nano"), str(PULSE)))
    small = distill(data, tmp_path / "run", recipe, CPU)
    with (small / "teachers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["teacher"] for row in rows] == ["signal", *recipe.language]
    assert all(0 <= float(row["f1"]) <= 100 for row in rows)
    assert "teaches by its findings' likelihoods alone" in "".join(capsys.readouterr())
    card = (small / "README.md").read_text()
    assert " ".join(card.split()).count("by itself AUC") == 3
    # The one with the student's words also taught by token, for both epochs; a second run asks nobody again.
    assert sorted(path.name for path in (tmp_path / "run" / "teacher-1").glob("epoch-*")) == ["epoch-0", "epoch-1"]
    assert not list((tmp_path / "run" / "teacher-2").glob("epoch-*"))
    monkeypatch.setattr(language._Look, "probabilities", None)
    monkeypatch.setattr(advising, "advice_of", None)
    assert json.loads((distill(data, tmp_path / "run", recipe, CPU) / "recipe.json").read_text())["language"]


def _session(source: Path, folder: Path) -> Session:
    from benchmarks.subjects import torch_session

    return torch_session(Checkpoint.open(source), "float32")
