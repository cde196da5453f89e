"""python -m export.tosa: what is said of a tower by how far it is off, where the tools come from, and the tools."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import export.tosa.__main__ as command
from edge_runtime.errors import UserError
from export.pages import example_pages
from export.tosa.environment import EXECUTORCH, REQUIREMENTS, Environment, open_environment, set_up
from export.tosa.tower import LIMIT, Found, Seen, relative
from pulse.checkpoint.checkpoint import Checkpoint
from tests.export.tosa_tools import REPORT, planted

STAMP = "pulse-edge.txt"
FOUND = Found(0.02, {"a.png": 0.01, "b.png": 0.03}, 1, (0.25, 0.125), REPORT)


def pins() -> str:
    return f"{REQUIREMENTS.read_text()}{EXECUTORCH}\n"


def test_without_the_tools_one_line_says_how_to_get_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--environment", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert f"holds no environment for Arm's TOSA tools; make it with: {command.NAME} --setup --environment" in line
    assert (said.out, list(tmp_path.iterdir())) == ("", [])


def test_tools_of_other_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / STAMP).write_text(pins().replace("5.1.0", "5.0.0"))
    with pytest.raises(UserError, match="was made for other versions of Arm's TOSA tools; make it with"):
        open_environment(tmp_path)
    (tmp_path / STAMP).write_text(pins())
    assert open_environment(tmp_path).folder == tmp_path


def test_setup_leaves_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    assert command.main(["--setup", "--environment", str(tmp_path)]) == 2
    assert "holds something else; give another --environment" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years"
    (tmp_path / STAMP).write_text(pins())
    assert command.main(["--setup", "--environment", str(tmp_path)]) == 0  # made already: nothing runs


def script(path: Path, lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def test_setup_that_fails_leaves_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A Python whose venv has a pip that fails at its second call, after Arm's packages and before ExecuTorch.
    pip = 'test -e "$0.once" && { echo working >&2; echo no network >&2; exit 1; }; touch "$0.once"'
    folder = tmp_path / "new"
    venv = f"mkdir -p {folder}/bin; touch {folder}/pyvenv.cfg; cp {script(tmp_path / 'pip', pip)} {folder}/bin/python"
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "python", venv)))
    with pytest.raises(UserError, match=r"^pip: no network; see to it first$"):
        set_up(folder)
    with pytest.raises(UserError, match="holds no environment"):
        open_environment(folder)


def test_tools_that_fail_say_their_last_line(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python", 'echo many >&2; echo "$1 $3: not taken" >&2; exit 3')
    with pytest.raises(UserError, match=r"^Arm's tools: -I ethos-u55-32: not taken; see to it first$"):
        Environment(tmp_path).run(Path("child.py"), "ethos-u55-32")


def test_relative() -> None:
    want = np.array([3.0, 4.0])
    assert relative(want, want) == 0
    assert relative(np.array([3.0, 4.5]), want) == pytest.approx(0.1)


@pytest.mark.parametrize(("features", "passes"), [(LIMIT, True), (LIMIT + 1e-6, False), (float("nan"), False)])
def test_the_limit(features: float, passes: bool) -> None:
    assert LIMIT == 0.04
    assert replace(FOUND, features=features).passes is passes


def test_what_is_said() -> None:
    text = command._as_text(FOUND, "tiny", "ethos-u85-256", 7, on_themselves=False)
    assert text.splitlines() == [
        "tiny: vision tower in int8 (TOSA-1.0+INT), ranges from 7 pages",
        "simulated  tosa-tools 2, Arm's reference model: features 2.0% off float32 (limit 4%), worst 3.0% (b.png)",
        "           float32 decoder after it: 1 of 2 answers the same; probabilities differ by 0.2500 at most, "
        "0.1250 on average",
        "compiled   ethos-u-vela 3, ethos-u85-256: 70 of 75 operators on the NPU; sram 4 KiB, on chip flash 1 KiB "
        "(Some_System, Some_Mode)",
        "           on the CPU: quantize_per_tensor",
        "estimated  2.5 million cycles, 5.0 ms at 500 MHz, by Vela's model of the chip; no chip ran",
        "pass",
    ]
    alone = command._as_text(replace(FOUND, features=0.1, probabilities=None), "tiny", "x", 2, on_themselves=True)
    assert "ranges from 2 pages, the tested ones" in alone
    assert "answers the same\n" in alone
    assert alone.endswith("\nfail")


@pytest.mark.parametrize(("off", "status"), [(0.01, "pass"), (-0.05, "fail")])
def test_a_tower_is_held_against_float32(
    off: float,
    status: str,
    checkpoint: Checkpoint,
    pages: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tools, own = planted(off), example_pages()
    monkeypatch.setattr(command, "open_environment", tools)
    folders = ["--pages", str(pages[0].parent), "--calibration", str(own[0].parent), "--out", str(tmp_path / "out")]
    argv = [str(checkpoint.folder), *folders, "--json"]
    assert command.main(argv) == (0 if status == "pass" else 1)
    said = capsys.readouterr().out
    found = json.loads(said)
    assert (tmp_path / "out" / "report.json").read_text() == said
    assert (found["status"], found["evidence"], found["limit"], found["npu"]) == (
        status,
        "simulated",
        0.04,
        "ethos-u85-256",
    )
    assert found["features"] == pytest.approx(abs(off), rel=1e-3)
    assert list(found["pages"]) == [page.name for page in pages]
    assert (found["calibration"], tools.calibrated) == ([page.name for page in own], len(own))
    assert found["pages"]["page0.png"] == pytest.approx(abs(off), rel=1e-3)
    assert found["tools"] == REPORT


def test_a_tile_that_the_tools_were_not_given() -> None:
    class Engine:
        embed = decode = empty_cache = None

    tile, features = np.ones((1, 3, 2, 2), np.float32), np.ones((5, 4), np.float32)
    seen = Seen(Engine(), {tile[0].tobytes(): features})  # type: ignore[arg-type]
    assert (seen.vision(tile) == features).all()
    with pytest.raises(UserError, match="use upright pages"):
        seen.vision(2 * tile)


@pytest.mark.slow
def test_pulse_nano_on_arms_own_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        open_environment()
    except UserError as error:
        pytest.skip(str(error))
    (tmp_path / "pages").mkdir()
    page = example_pages()[1]
    os.symlink(page, tmp_path / "pages" / page.name)
    argv = ["--pages", str(tmp_path / "pages"), "--out", str(tmp_path / "out"), "--json"]
    assert command.main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.001 < found["features"] < LIMIT  # 8 bits show
    assert found["same_answers"] == 1
    assert found["tools"]["operators"]["cpu"] == 0
    assert found["tools"]["operators"]["npu"] > 0
    assert (tmp_path / "out" / "vision.tosa").read_bytes()[4:8] == b"TOSA"
