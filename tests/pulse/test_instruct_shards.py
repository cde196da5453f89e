"""`pulse-instruct`: shards that webdataset reads, the list that PULSE's reader reads, and runs that are cut off."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import webdataset
from PIL import Image

from pulse.instruct.cli import main
from pulse.instruct.converse import FILL, OPEN, Piece
from pulse.instruct.endpoint import Endpoint
from pulse.instruct.questions import Turn
from pulse.instruct.rewrite import Rewriter, says_the_same
from pulse.instruct.shards import shard_path
from tests.openai_server import serving

PTBXL = Path(__file__).parents[1] / "data" / "ptbxl"
ARGV = [str(PTBXL), "--folds", "9", "--per-shard", "2", "--dpi", "50.8"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("instruct") / "out"
    assert main([*ARGV, "--out", str(out), "--workers", "2"]) == 0
    return out


def test_what_is_written_is_read_as_published(made: Path, tmp_path: Path) -> None:
    shards = sorted((made / "shards").iterdir())
    assert [path.name for path in shards] == [f"ecginstruct-{k:06d}.tar" for k in range(3)]
    for path in shards:
        with tarfile.open(path) as tar:
            tar.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    listed = json.loads((made / "ECGInstruct.json").read_text())
    assert len(listed) == 5 * 6
    assert {Path(talk["image"]).name for talk in listed} == {f"{k:05d}.jpg" for k in (10, 281, 722, 796, 1502)}
    for talk in listed:
        assert Image.open(tmp_path / talk["image"]).size[0] > 450
        turns = talk["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert turns[0]["value"].startswith("<image>")
        assert all(turn["value"].strip() for turn in turns)
    assert len({talk["id"] for talk in listed}) == len(listed)


def test_webdataset_reads_the_shards(made: Path) -> None:
    shards = [str(path) for path in sorted((made / "shards").iterdir())]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"ptb-xl/{k:05d}" for k in (10, 281, 722, 796, 1502)]
    listed = json.loads((made / "ECGInstruct.json").read_text())
    assert [entry for sample in samples for entry in json.loads(sample["json"])] == listed
    assert Image.open(io.BytesIO(samples[0]["jpg"])).format == "JPEG"


def test_a_killed_run_ends_in_the_same_bytes(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pulse.instruct.cli", *ARGV, "--out", str(out), "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not shard_path(out, 0).exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "ECGInstruct.json").exists()
    kept = shard_path(out, 0).stat().st_mtime_ns
    assert main([*ARGV, "--out", str(out), "--workers", "2"]) == 0
    assert shard_path(out, 0).stat().st_mtime_ns == kept  # gone on, not begun anew
    for number in range(3):
        assert shard_path(out, number).read_bytes() == shard_path(made, number).read_bytes()
    assert (out / "ECGInstruct.json").read_bytes() == (made / "ECGInstruct.json").read_bytes()


def test_the_seed_changes_pages_and_questions(made: Path, tmp_path: Path) -> None:
    assert main([*ARGV, "--out", str(tmp_path), "--limit", "1", "--workers", "1", "--seed", "2"]) == 0
    other, first = (json.loads((folder / "ECGInstruct.json").read_text()) for folder in (tmp_path, made))
    assert {entry["image"] for entry in other} == {"ptb-xl/00010.jpg"}
    assert other != first[:6]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--seed", "2"], "holds a run with other settings (seed)"),
        (["--folds", "3"], "hold no record"),
        (["--folds", "11"], "no fold of PTB-XL"),
        (["--photo", "2"], "not a number from 0 to 1"),
        (["--rewrite", "http://x"], "belong together"),
    ],
)
def test_wrong_use_is_one_line(made: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str) -> None:
    assert main([*ARGV, "--out", str(made), *argv]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds no scp_statements.csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_endpoint_words_what_it_does_not_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def reword(messages: list[dict[str, str]]) -> str:
        question, _, answer = messages[1]["content"].partition("\n\nAnswer to reword:\n")
        return "On this page: 42 bpm." if "eart rate" in question else f"{answer} (as seen here)"

    out = tmp_path / "out"
    with serving(reword) as (url, _):
        more = ["--limit", "2", "--workers", "1", "--rewrite", url, "--rewrite-model", "m"]
        assert main([*ARGV, "--out", str(out), *more]) == 0
    printed = capsys.readouterr().out
    made = json.loads((out / "ECGInstruct.json").read_text())
    reworded = 0
    for entry in made:
        for kind, done, said in zip(entry["kinds"], entry["rewritten"], entry["conversations"][1::2], strict=True):
            assert said["value"].endswith("(as seen here)") == done
            assert not (done and ("fill-in" in kind or "multiple-choice" in kind))
            reworded += done
            assert "42" not in said["value"]
    assert f"worded by the endpoint{reworded:15,} turns" in printed
    assert reworded > 5


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("The PR interval is 160 ms.", "I measure a PR interval of 160 ms.", True),
        ("The PR interval is 160 ms.", "I measure a normal PR interval.", False),
        ("The PR interval is 160 ms.", "A PR interval of 160 ms, rate 70.", False),
        ("Left axis deviation; LVH.", "There are left ventricular hypertrophy and a left axis deviation.", True),
        ("Left axis deviation; LVH.", "There is left ventricular hypertrophy.", False),
        ("Sinus rhythm.", "Sinus rhythm with atrial fibrillation.", False),
        ("Yes, there is LVH.", "Yes: LVH is present.", True),
        ("Yes, there is LVH.", "No, LVH is present.", False),
        ("No, there is no LVH.", "No: LVH is seen.", False),
        ("No, there is no LVH.", "No, without LVH.", True),
        ("No, there is no LVH.", "No, there is no infarction.", False),
        ("No, the axis is left axis deviation.", "No, it is right axis deviation.", False),
        ("Abnormal ECG.", "Normal ECG.", False),
    ],
)
def test_saying_the_same(before: str, after: str, same: bool) -> None:
    assert says_the_same(before, after) == same


def test_a_second_try_after_a_lost_fact_and_after_an_overloaded_server() -> None:
    said: list[str | int] = [503, "A fine ECG.", "It beats at 70 per minute."]
    piece = Piece("feature", OPEN, Turn("Rate?", "The heart rate is 70."))
    with serving(lambda _: said.pop(0)) as (url, seen):
        rewriter = Rewriter(Endpoint(url, "m"))
        assert rewriter(piece) == (Piece("feature", OPEN, Turn("Rate?", "It beats at 70 per minute.")), True)
        assert [request["temperature"] for request in seen] == [0, 0, 0.7]
        fixed = Piece("feature", FILL, piece.turn)
        assert rewriter(fixed) == (fixed, False)
        assert len(seen) == 3
        said += ["Nothing."] * 2
        assert rewriter(piece) == (piece, False)
