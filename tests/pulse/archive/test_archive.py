"""pulse-read on an archive as hospitals keep them: everything gets its rows once, and nothing stops the rest."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from pulse.archive.cli import main
from pulse.archive.reading import begin, failed
from pulse.archive.sources import Input, inputs
from pulse.ecg.read import read_record
from pulse.runner import run

pq = pytest.importorskip("pyarrow.parquet")
pydicom = pytest.importorskip("pydicom")

ROOT = Path(__file__).parents[3]
RECORD = ROOT / "tests" / "data" / "ptbxl" / "records100" / "00000" / "00010_lr"
PAGES = sorted((ROOT / "pulse" / "ecg" / "examples").glob("*.png"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    (folder / "ward 3").mkdir()
    small = [Image.open(path).convert("RGB").resize((800, 600)) for path in PAGES[:2]]
    shutil.copy(PAGES[2], folder / "ward 3" / "ü 心电图.PNG")
    small[0].save(folder / "a.jpg")
    small[0].save(folder / "b.pdf", save_all=True, append_images=small[1:])
    (folder / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    Image.new("RGB", (300, 200), "navy").save(folder / "d.webp")
    for suffix in (".hea", ".dat"):
        shutil.copy(RECORD.with_suffix(suffix), folder / f"e{suffix}")
    header = (folder / "e.hea").read_text().replace("00010_lr", "e")
    (folder / "e.hea").write_text(header)
    (folder / "f.scp").write_bytes(b"no such thing")
    for litter in (".DS_Store", "notes.txt", "._a.jpg"):
        (folder / litter).write_bytes(b"x")
    return folder


def rows(out: Path) -> list[dict]:
    found = [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: (row["input"], row["page"]))


@pytest.fixture(scope="module")
def undisturbed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("read") / "out"
    assert main([str(archive), "--out", str(out), "--processes", "1", "--part", "3"]) == 0
    return out


def test_every_input_has_its_rows(archive: Path, undisturbed: Path) -> None:
    found = {(row["input"], row["page"]): row for row in rows(undisturbed)}
    names = [("a.jpg", 1), ("b.pdf", 1), ("b.pdf", 2), ("c.png", 1), ("d.webp", 1), ("e.hea", 1), ("f.scp", 1)]
    assert sorted(found) == sorted([*names, ("ward 3/ü 心电图.PNG", 1)])
    assert "is damaged or cut off" in found["c.png", 1]["error"]
    assert "is no DICOM, SCP-ECG" in found["f.scp", 1]["error"]
    assert found["d.webp", 1]["refused"]
    assert found["d.webp", 1]["findings"] == []
    whole = found["ward 3/ü 心电图.PNG", 1]
    assert (whole["error"], whole["refused"], whole["kind"]) == (None, False, "picture")
    assert whole["answer"]
    probabilities = dict(whole["findings"])
    assert set(whole["named"]) <= set(probabilities)
    assert found["e.hea", 1]["kind"] == "record"
    assert found["e.hea", 1]["answer"]
    assert read_record(archive / "e.hea").repairs == tuple(found["e.hea", 1]["repairs"])
    assert found["a.jpg", 1]["sha256"] != found["c.png", 1]["sha256"]
    about = pq.read_schema(next(undisturbed.glob("part-*"))).metadata
    assert about[b"pulse.bundle"] == b"pulse-nano"


def test_several_processes_give_the_same_rows(archive: Path, undisturbed: Path, tmp_path: Path) -> None:
    argv = [str(archive), "--out", str(tmp_path / "out"), "--processes", "2", "--part", "2"]
    assert main(argv) == 0
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 4
    assert rows(tmp_path / "out") == rows(undisturbed)


def test_a_run_that_was_killed_goes_on(archive: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "edge_runtime.commands", "pulse-read", str(archive), "--out", str(out)]
    argv += ["--processes", "1", "--part", "1"]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for _ in range(1200):
        if len(list(out.glob("part-*.parquet"))) >= 2:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(rows(out)) < len(rows(undisturbed))
    assert main([str(archive), "--out", str(out), "--processes", "1"]) == 0
    assert rows(out) == rows(undisturbed)


def test_read_again_nothing_is_added(archive: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rows(undisturbed)
    assert main([str(archive), "--out", str(undisturbed), "--processes", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["already"], said["inputs"]) == (7, 0)
    assert rows(undisturbed) == before


class _TakesDown(Input):
    """An input whose arrival ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (1,)


def test_an_input_that_takes_its_process_down_is_named_and_the_rest_is_read(archive: Path) -> None:
    good = [Input("a.jpg", archive / "a.jpg"), Input("d.webp", archive / "d.webp"), Input("c.png", archive / "c.png")]
    pending = iter([good[0], _TakesDown("bad.png"), *good[1:]])
    work = partial(begin, "pulse-nano", Bundle.read("pulse-nano").provenance.digest, None)
    found = {row.input: row for some in run(pending, work, 2, lambda one: [failed(one, "down")]) for row in some}
    assert set(found) == {"a.jpg", "bad.png", "d.webp", "c.png"}
    assert found["bad.png"].error == "down"
    assert found["a.jpg"].error is None


def test_tars_and_lists(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name in ("a.jpg", "e.hea", ".DS_Store", "b.pdf"):
            tar.add(archive / name, f"./{name}")
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info, io.BytesIO())
    found = list(inputs(str(tmp_path / "a.tar.gz")))
    assert [one.name for one in found] == ["a.jpg", "b.pdf"]
    assert found[0].data == (archive / "a.jpg").read_bytes()
    (tmp_path / "list.txt").write_text(f"{archive / 'a.jpg'}\n\n{archive / 'a.jpg'}\ngone.png\n")
    assert [one.name for one in inputs(str(tmp_path / "list.txt"))] == [str(archive / "a.jpg"), "gone.png"]
    assert main([str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), "--processes", "1"]) == 0
    assert [row["error"] for row in rows(tmp_path / "out")] == [None, f"{tmp_path / 'gone.png'}: is not there"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["gone"], "gone: is not there; give a folder, a tar"),
        (["a.jpg"], "is no folder, no tar and no list"),
        (["bad.tar"], "is no readable tar"),
        (["empty"], "holds no picture, PDF or record"),
        (["empty", "--processes", "0"], "must be 1 or more"),
    ],
)
def test_wrong_use_is_one_line(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("a.jpg", "bad.tar"):
        (tmp_path / name).write_bytes(b"x")
    assert main([*argv, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


def test_a_tar_that_is_cut_off_is_said_and_a_name_twice_is_one_input(archive: Path, tmp_path: Path) -> None:
    whole = tmp_path / "a.tar"
    with tarfile.open(whole, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("a.jpg", "b.pdf", "a.jpg"):
            tar.add(archive / name, name)
    with tarfile.open(whole) as tar:
        second = tar.getmembers()[1].offset
    assert [one.name for one in inputs(str(whole))] == ["a.jpg", "b.pdf"]
    for end in (second, second + 100, second + 700):  # before a header, within it, behind it
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole.read_bytes()[:end])
        found = inputs(str(cut))
        assert next(found).name == "a.jpg"
        with pytest.raises(UserError, match=r"cut\.tar: is no readable tar"):
            list(found)


def test_pages_are_measured_where_that_is_asked_for(archive: Path, undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{archive / 'a.jpg'}\n{archive / 'd.webp'}\n")
    argv = [str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), "--processes", "1"]
    assert main([*argv, "--measure"]) == 0
    page, no_ecg = rows(tmp_path / "out")
    assert {"rate_bpm", "qrs_ms"} <= dict(page["measured"]).keys()
    assert no_ecg["measured"] == []
    assert "measured" not in rows(undisturbed)[0]
    assert main(argv) == 2  # other columns


def test_another_question_or_a_damaged_part_is_refused(
    archive: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(undisturbed, tmp_path / "out")
    argv = [str(archive), "--out", str(tmp_path / "out")]
    assert main([*argv, "--question", "Is this a normal ECG?"]) == 2
    assert "holds a run with other settings (question)" in capsys.readouterr().err
    (tmp_path / "out" / "part-00000.parquet").write_bytes(b"PAR1")
    assert main(argv) == 2
    assert "is damaged" in capsys.readouterr().err
