"""Checkpoints as teachers: what they think of the records, what they would say token by token, and several at once."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.dialogues import Packer, collate
from distill.features import cache_features
from distill.lessons import Lessons
from distill.logit_cache import cache_logits
from distill.pages import PageMix, Pages
from distill.recipe import Recipe, distill
from distill.speaker import Speaker
from distill.students.nano import STUDENT as NANO
from distill.targets import build_targets
from distill.teacher import Workspace
from distill.teachers import named
from distill.teachers._answers import ask_about_each
from distill.teachers._logits import shares_words_and_pages
from distill.teachers.checkpoint import CheckpointTeacher
from distill.teaching import kept_probabilities, mean_probabilities
from distill.token_logits import TokenLogits, divergence, top_logits
from distill.training_set import TrainingSet
from edge_runtime.errors import UserError
from edge_runtime.prompt import Prompt
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.paper.render import render
from pulse.ecg.ptbxl import SUPERCLASSES
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from quantize.precision import Precision
from tests.distill.conftest import tiny_recipe, with_dataset
from tests.golden import GOLDEN

CPU = torch.device("cpu")
PULSE = GOLDEN / "a" / "checkpoint"  # PULSE's own format and vocabulary, with two layers


@pytest.fixture(scope="module")
def student(data: Path, dataset: DatasetCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student's run, which can teach another one."""
    out = with_dataset(data, tmp_path_factory.mktemp("student") / "run")
    distill(data, out, replace(tiny_recipe(), teachers=()), CPU)
    return out


def test_divergence_by_hand() -> None:
    """Two tokens are kept of four; the other two count as one."""
    teacher = torch.tensor([[0.5, 0.3, 0.1, 0.1]])
    ours = torch.tensor([[0.25, 0.25, 0.4, 0.1]])
    teachers = TokenLogits(torch.tensor([[0, 1]]), teacher[:, :2].log())
    wanted = 0.5 * np.log(0.5 / 0.25) + 0.3 * np.log(0.3 / 0.25) + 0.2 * np.log(0.2 / 0.5)
    assert divergence(ours.log(), teachers).item() == pytest.approx(wanted, rel=1e-5)
    assert divergence(teacher.log(), teachers).item() == pytest.approx(0, abs=1e-6)


def test_learning_from_token_logits_alone_ends_at_the_teacher() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 40) * 2, torch.zeros(5, 40, requires_grad=True)
    teachers, optimizer = top_logits(teacher), torch.optim.Adam([student], 0.05)
    before = divergence(student, teachers).mean().item()
    for _ in range(300):
        optimizer.zero_grad()
        divergence(student, teachers).mean().backward()
        optimizer.step()
    assert divergence(student, teachers).mean().item() < 0.01 * before
    torch.testing.assert_close(student.softmax(-1).gather(-1, teachers.ids), teachers.logs.exp(), atol=0.02, rtol=0)


def few(dataset: DatasetCache, count: int) -> TrainingSet:
    """The first records, none of them for validation."""
    rows = np.arange(count)
    return TrainingSet(dataset, build_targets(dataset, rows), rows, rows[:0])


def test_a_teacher_of_other_words_says_what_its_bundle_would_say(dataset: DatasetCache, tmp_path: Path) -> None:
    """PULSE's own format: the likelihoods are those that the device runtime finds with the same model."""
    data, workspace = few(dataset, 4), Workspace(tmp_path, CPU)
    teacher = CheckpointTeacher(str(PULSE))
    soft = teacher.probabilities(data, workspace)
    session = _session(PULSE, tmp_path)
    findings = {f.label: f.probability for f in session.look(render(dataset.record(2)).image).findings()}
    columns = data.targets.columns
    asked = [label for label in findings if label in columns]
    assert set(asked) >= {"NORM", "MI", "STTC", "CD", "HYP"}
    assert [columns[label] for label in SUPERCLASSES] == [0, 1, 2, 3, 4]
    for label in asked:
        assert soft[2, columns[label]] == pytest.approx(findings[label], abs=1e-5)
    others = np.delete(soft, [columns[label] for label in asked], axis=1)
    assert np.isnan(others).all()
    assert np.isnan(soft[4:]).all()
    (tmp_path / "other.json").write_text("{}")
    assert not shares_words_and_pages(teacher, tmp_path / "other.json", NANO.preprocess, tmp_path)


def test_in_nf4_it_thinks_nearly_the_same(dataset: DatasetCache, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    quantize_checkpoint(Checkpoint.open(PULSE), tmp_path / "nf4", Precision("nf4"))
    data = few(dataset, 2)
    whole, small = (
        kept_probabilities(CheckpointTeacher(str(source)), data, Workspace(tmp_path / name, CPU))
        for name, source in (("a", PULSE), ("b", tmp_path / "nf4"))
    )
    assert np.array_equal(np.isnan(whole), np.isnan(small))
    assert 0 < np.nanmean(np.abs(whole - small)) < 0.1


@pytest.mark.parametrize(("bits", "most"), [(4, 0.1), (8, 0.03)])
def test_held_in_few_bits_it_thinks_nearly_the_same(
    dataset: DatasetCache, tmp_path: Path, bits: int, most: float
) -> None:
    pytest.importorskip("bitsandbytes")
    data, a, b = few(dataset, 2), Workspace(tmp_path / "a", CPU), Workspace(tmp_path / "b", CPU)
    whole = kept_probabilities(CheckpointTeacher(str(PULSE)), data, a)
    small = kept_probabilities(CheckpointTeacher(str(PULSE), bits), data, b)
    assert np.array_equal(np.isnan(whole), np.isnan(small))
    assert 0 < np.nanmean(np.abs(whole - small)) < most
    with pytest.raises(UserError, match="another teacher"):
        kept_probabilities(CheckpointTeacher(str(PULSE), 12 - bits), data, b)


def test_it_is_asked_once(dataset: DatasetCache, tmp_path: Path, student: Path, monkeypatch) -> None:
    data, teacher, folder = few(dataset, 5), CheckpointTeacher(str(student / "pulse-nano")), tmp_path / "teacher"
    wanted = kept_probabilities(teacher, data, Workspace(folder, CPU))
    assert np.isfinite(wanted[:5, :5]).all()
    monkeypatch.setattr(CheckpointTeacher, "probabilities", None)
    assert np.array_equal(kept_probabilities(teacher, data, Workspace(folder, CPU)), wanted, equal_nan=True)
    with pytest.raises(UserError, match="another teacher"):
        kept_probabilities(CheckpointTeacher(str(PULSE)), data, Workspace(folder, CPU))
    with pytest.raises(UserError, match="gives probabilities of shape"):
        kept_probabilities(teacher, few(dataset, 1), Workspace(folder, CPU))


def test_its_answers_go_on_where_they_were_cut_off(tmp_path: Path) -> None:
    rows, asked = np.array([5, 1, 4, 0, 2]), []

    def ask(row: int) -> list[float]:
        asked.append(row)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return [row / 10, row / 100]

    def answers() -> np.ndarray:
        return ask_about_each(ask, rows, [2, 0], (7, 3), tmp_path / "answers.npy", "teacher", keep_every=2)

    with pytest.raises(KeyboardInterrupt):
        answers()
    got = answers()
    assert asked == [5, 1, 4, 0, 4, 0, 2]  # two of three were kept
    np.testing.assert_allclose(got[rows], np.stack([rows / 100, rows * np.nan, rows / 10], 1), rtol=1e-6)
    assert np.isnan(got[[3, 6]]).all()
    assert np.array_equal(answers(), got, equal_nan=True)
    assert len(asked) == 7


def test_token_logits_are_kept_by_page_and_resumes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pages = [torch.randn(n, 30) for n in (3, 0, 2, 4, 1)]
    asked = []

    def ask(items: range) -> list[TokenLogits]:
        asked.append(items)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return [top_logits(pages[k]) for k in items]

    with pytest.raises(KeyboardInterrupt):
        cache_logits(tmp_path, len(pages), ask, batch=2)
    with open(tmp_path / "ids", "ab") as file:
        file.write(b"half a page")  # what a kill left behind the last note
    cache = cache_logits(tmp_path, len(pages), ask, batch=2)
    assert asked == [range(2), range(2, 4), range(2, 4), range(4, 5)]
    got = cache.of([3, 0])
    wanted = [top_logits(pages[k]) for k in (3, 0)]
    assert torch.equal(got.ids, torch.cat([one.ids for one in wanted]))
    torch.testing.assert_close(got.logs, torch.cat([one.logs for one in wanted]), atol=5e-3, rtol=1e-3)
    cache_logits(tmp_path, len(pages), ask, batch=2)
    assert len(asked) == 4


def test_a_teacher_of_the_same_words_gives_logits_of_the_very_tokens(
    dataset: DatasetCache, tmp_path: Path, student: Path, tiny: Recipe
) -> None:
    """Its logits for a page are what its own decoder makes of the student's dialogues behind its own features."""
    run, rows = replace(tiny.student.decoder, epochs=1), np.arange(6)
    teacher, workspace = CheckpointTeacher(str(student / "pulse-nano-float16")), Workspace(tmp_path, CPU, 0)
    pages = Pages(dataset, rows, NANO.preprocess, PageMix(), 1)
    views = [cache_features(teacher.loaded(CPU).vision_tower, pages, tmp_path / "features", CPU, 0)]
    tokenizer = Tokenizer(student / "tokenizer.json")
    packer = Packer(Prompt(NANO.prompt, tokenizer, None), tokenizer, views[0].tokens.shape[1], NANO.end, 384)
    lessons = Lessons(dataset, views, None, packer, student / "tokenizer.json")
    ask = teacher.token_logits(lessons, [pages], run, workspace)
    assert ask is not None
    teachers = ask(0, np.array([4, 1]))
    model, config = load_model(teacher.checkpoint), teacher.checkpoint.config
    speaker = Speaker(config.vision.hidden_size, config.text)
    speaker.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("vision_tower")})
    batch = collate([packer.pack(lessons.dialogues(run.seed, 0, item)) for item in (4, 1)])
    with torch.no_grad():
        seen = torch.from_numpy(views[0].tokens[[4, 1]].astype(np.float32))
        said = speaker.logits(seen, batch, packer.image_start)
    torch.testing.assert_close(teachers.logs, said.log_softmax(-1).gather(-1, teachers.ids), atol=2e-2, rtol=1e-3)
    # Of a model that is hardly trained, so that the divergences are small ones.
    assert divergence(said, teachers).abs().mean() < 0.1 * divergence(said.flip(0), teachers).mean()


def test_the_mean_is_over_those_who_say_something() -> None:
    nan = np.nan
    a, b = np.array([[0.2, nan, nan]], np.float32), np.array([[0.4, 0.6, nan]], np.float32)
    np.testing.assert_allclose(mean_probabilities([a, b]), [[0.3, 0.6, nan]], rtol=1e-6)
    assert np.array_equal(mean_probabilities([b]), b, equal_nan=True)
    assert mean_probabilities([]) is None


def test_several_teach_one_student(data: Path, tiny: Recipe, student: Path, tmp_path: Path, capsys) -> None:
    names = [str(student / "pulse-nano"), str(PULSE)]
    recipe = replace(tiny, teachers=(*tiny.teachers, *map(named, names)))
    small = distill(data, with_dataset(data, tmp_path / "run"), recipe, CPU)
    with (small / "teachers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["teacher"] for row in rows] == ["signal", *names]
    assert all(0 <= float(row["f1"]) <= 100 for row in rows)
    assert "teaches by its probabilities alone" in "".join(capsys.readouterr())
    card = (small / "README.md").read_text()
    assert " ".join(card.split()).count("by itself AUC") == 3
    # The one with the student's words also taught by token, for both epochs; a second run asks nobody again.
    assert sorted(path.name for path in (tmp_path / "run" / "teacher-2").glob("epoch-*")) == ["epoch-0", "epoch-1"]
    assert not list((tmp_path / "run" / "teacher-3").glob("epoch-*"))
    kept = written(tmp_path / "run")
    settings = json.loads((distill(data, tmp_path / "run", recipe, CPU) / "recipe.json").read_text())["teachers"]
    assert [one["name"] for one in settings] == ["signal", *names]
    assert written(tmp_path / "run") == kept


def written(run: Path) -> dict[Path, int]:
    """When each file of the teachers' folders was last written."""
    return {path: path.stat().st_mtime_ns for path in run.glob("teacher-*/**/*")}


def _session(source: Path, folder: Path) -> Session:
    from benchmarks.subjects.subject import torch_session

    return torch_session(Checkpoint.open(source), "float32")
