"""The whole recipe on a tiny set: it ends in a checkpoint that loads, and a cut-off run ends in the same one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill import cli, decoder, students, tower
from distill.recipe import Recipe, distill
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.load import load_model
from tests.distill.conftest import changed_student, with_dataset

CPU = torch.device("cpu")
FIXTURE = Path(__file__).parents[1] / "data" / "ptbxl"


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one uninterrupted run."""
    return tmp_path_factory.mktemp("run")


def _run(data: Path, out: Path, recipe: Recipe) -> Path:
    return distill(data, out, recipe, CPU)


def test_it_ends_in_a_loadable_4_bit_checkpoint_with_its_card(data: Path, whole: Path, tiny: Recipe) -> None:
    small = _run(data, whole, tiny)
    model, config = load_model(Checkpoint.open(small), "int4"), Checkpoint.open(small).config
    assert config.name == "pulse-nano"
    assert model.vision_tower(torch.zeros(1, 1, 384, 544)).shape[2] == 16
    card = " ".join((small / "README.md").read_text().split())
    assert "16 records of folds 1 to 8" in card
    assert "8 records as plain" in card
    assert "65 % of every target: `signal`" in card
    assert (small / "teachers.csv").read_text().startswith("teacher,auc,")
    assert (small / "findings.csv").read_text().startswith("finding,point,sensitivity,precision\n")
    assert set(json.loads((small / "operating_points.json").read_text())) == {"NORM", "MI", "STTC", "CD", "HYP"}
    worth = {finding.label: finding.calibration for finding in config.inference.findings}
    assert {w.positives for w in worth.values() if w is not None} <= set(range(9))  # of the 8 validation records
    assert worth["NORM"] is not None
    assert Checkpoint.open(whole / "pulse-nano-float16").config.inference.findings == config.inference.findings
    assert "| NORM |" in card
    assert json.loads((small / "recipe.json").read_text())["student"]["decoder"]["epochs"] == 2
    assert len((small / "signal.csv").read_text().splitlines()) == 1 + 4 * 2 + 1
    assert len((small / "tower.csv").read_text().splitlines()) == 3
    assert len((small / "decoder.csv").read_text().splitlines()) == 3


def test_run_again_trains_nothing_and_changes_nothing(data: Path, whole: Path, tiny: Recipe) -> None:
    before = _weights(_run(data, whole, tiny))
    logs = (whole / "tower.csv").read_text(), (whole / "decoder.csv").read_text()
    after = _weights(_run(data, whole, changed_student(tiny, tower=replace(tiny.student.tower, workers=1))))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert ((whole / "tower.csv").read_text(), (whole / "decoder.csv").read_text()) == logs


def test_training_for_4_bits_ends_in_other_weights_of_that_scheme(
    data: Path, whole: Path, tiny: Recipe, tmp_path: Path
) -> None:
    wanted = changed_student(tiny, decoder=replace(tiny.student.decoder, qat="int4-g32-asym"))
    _run(data, whole, tiny)
    shutil.copytree(whole, tmp_path / "run", ignore=shutil.ignore_patterns("pulse-nano*", "recipe.json"))
    small = _run(data, tmp_path / "run", wanted)
    weights = json.loads((small / "config.json").read_text())["quantization_config"]["config_groups"]["group_0"][
        "weights"
    ]
    assert weights["symmetric"] is False
    floats = [load_file(run / "pulse-nano-float16" / "model.safetensors") for run in (whole, tmp_path / "run")]
    name = "language_model.model.layers.0.mlp.down_proj.weight"
    assert not torch.equal(floats[0][name], floats[1][name])
    with pytest.raises(UserError, match=r"other settings \(student.decoder.qat\)"):
        _run(data, tmp_path / "run", tiny)


@pytest.mark.parametrize(("stage", "after"), [(tower, 1), (tower, 2), (tower, 3), (decoder, 1), (decoder, 3)])
def test_a_run_cut_off_in_either_stage_ends_in_the_same_weights(
    data: Path, whole: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage, after: int
) -> None:
    wanted, run = _weights(_run(data, whole, tiny)), tmp_path / "run"
    for made_before in ("dataset-cache", "teacher-1"):
        shutil.copytree(whole / made_before, run / made_before)
    clip, calls = stage.clip, []

    def cut_off(model: torch.nn.Module) -> torch.Tensor:
        calls.append(model)
        if len(calls) > after:
            raise KeyboardInterrupt
        return clip(model)

    monkeypatch.setattr(stage, "clip", cut_off)
    with pytest.raises(KeyboardInterrupt):
        _run(data, run, tiny)
    monkeypatch.undo()
    got = _weights(_run(data, run, tiny))
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        assert torch.equal(value, got[name]), name


def test_a_tower_can_be_kept_as_it_was(data: Path, whole: Path, tiny: Recipe, tmp_path: Path) -> None:
    _run(data, whole, tiny)
    begun, out = whole / "pulse-nano-float16", tmp_path / "run"
    for made_before in ("dataset-cache", "teacher-1"):
        shutil.copytree(whole / made_before, out / made_before)
    tower = replace(tiny.student.tower, epochs=0, start=str(begun))
    decoder = replace(tiny.student.decoder, epochs=1)
    small = _run(data, out, changed_student(tiny, tower=tower, decoder=decoder))
    kept, before = (load_model(Checkpoint.open(folder)).state_dict() for folder in (out / "pulse-nano-float16", begun))
    for name, tensor in before.items():
        if name.startswith("vision_tower."):
            torch.testing.assert_close(kept[name], tensor, rtol=2e-3, atol=2e-3)  # folded out of its norms again
    assert "The tower is that of" in (small / "README.md").read_text()
    assert (small / "tower.csv").read_text().splitlines()[1].startswith("0,0,nan,")
    assert json.loads((small / "operating_points.json").read_text()).keys() == {"NORM", "MI", "STTC", "CD", "HYP"}
    _run(data, out, changed_student(tiny, tower=tower, decoder=decoder))
    assert len((small / "tower.csv").read_text().splitlines()) == 2


def test_another_recipe_does_not_go_on_with_the_run(data: Path, whole: Path, tiny: Recipe) -> None:
    _run(data, whole, tiny)
    with pytest.raises(UserError, match=r"other settings \(student\.decoder\.peak, student\.views\); give another"):
        _run(data, whole, changed_student(tiny, views=3, decoder=replace(tiny.student.decoder, peak=1e-3)))


def test_a_student_that_cannot_be_asked_is_refused_before_it_is_trained(
    data: Path, tiny: Recipe, tmp_path: Path
) -> None:
    prompt = replace(tiny.student.prompt, next_turn="USER: what?\nASSISTANT:")
    with pytest.raises(UserError, match=r"next_turn must hold \{question\} once"):
        _run(data, tmp_path / "run", changed_student(tiny, prompt=prompt))
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_version_is_refused_in_one_line(data: Path, tiny: Recipe, tmp_path: Path) -> None:
    """recipe.json of 0.1 had the stages' settings at its top."""
    (tmp_path / "recipe.json").write_text(json.dumps({"student": "nano", "signal": None, "tower": {"epochs": 2}}))
    with pytest.raises(UserError, match="holds a run of another version; give another --out"):
        _run(data, tmp_path, tiny)


@pytest.mark.usefixtures("dataset")
def test_too_few_records(data: Path, tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="4 records to train on do not fill one batch of 8"):
        _run(data, with_dataset(data, tmp_path / "run"), replace(tiny, limit=4))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", "x", "--decoder-epochs", "0"], "'0' is not a number from 1"),
        (["--data", str(FIXTURE), "--tower-epochs", "0", "--teacher", "labels"], "name it with --start"),
        (["--data", "x", "--tower-peak", "2"], "--tower-peak must lie between 0 and 1, not 2.0"),
        (["--data", str(FIXTURE), "--signal-parts", "1"], "--signal-epochs from 1 and --signal-parts from 2"),
        (["--data", "x", "--student", "huge"], "invalid choice"),
        (["--data", "x", "--limit", "-1"], "must be 0 or more"),
        (["--data", str(FIXTURE), "--start", "nowhere", "--teacher", "labels"], "nowhere"),
        (["--data", str(FIXTURE), "--teacher", "me"], "'me': no such folder"),
        (["--data", "x", "--teacher", "signal,labels"], "labels goes alone"),
        (["--data", "x", "--teacher-bits", "8"], "name one with --teacher"),
        (["--data", "x", "--teacher", "pulse-nano", "--teacher-bits", "3"], "invalid choice"),
        ([], "--data"),
    ],
)
def test_the_command_refuses_bad_input_in_one_line(
    argv: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*argv, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("dataset")
def test_the_command_trains_the_student_of_that_name(
    data: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "students").mkdir()
    (tmp_path / "students" / "tiny_one.py").write_text(
        "from dataclasses import replace\n"
        "from tests.distill.conftest import tiny_recipe\n"
        "STUDENT = replace(tiny_recipe().student, name='pulse-tiny', views=1)\n"
    )
    monkeypatch.setattr(students, "__path__", [*students.__path__, str(tmp_path / "students")])
    out = with_dataset(data, tmp_path / "run")
    argv = ["--data", str(data), "--out", str(out), "--student", "tiny-one", "--teacher", "labels"]
    assert cli.main([*argv, "--tower-epochs", "1", "--decoder-epochs", "1", "--workers", "0"]) == 0
    assert f"pulse-export {out / 'pulse-tiny'} --target onnx" in capsys.readouterr().out
    assert tiny.student.tower.epochs != 1  # the command line's value, not the default, was used
    assert json.loads((out / "recipe.json").read_text())["student"]["tower"]["epochs"] == 1


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "model.safetensors")
