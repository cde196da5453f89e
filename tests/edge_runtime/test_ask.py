"""The command as people and programs meet it: what it prints, where, and with which exit status."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from edge_runtime import ask
from edge_runtime.ask import main

NOTICE = "For research; not a medical device.\n"


def run(*args, **options):
    """`python -m edge_runtime.ask` as a process of its own."""
    command = [sys.executable, "-m", "edge_runtime.ask", *map(str, args)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False, **options)


def test_text(tiny, page, page_file, capsys):
    assert main([str(tiny.folder), str(page_file), "rhythm?", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == NOTICE
    bars = [line for line in lines if "#" in line and line.startswith(("NORM", "MI"))]
    shares = [float(line.split("#")[0].split()[-1]) for line in bars]
    assert len(bars) == 2
    assert shares == sorted(shares, reverse=True)
    assert lines[-1].startswith("8 tokens; first after ")
    assert "findings" in lines[-1]


def test_json(tiny, page, page_file, capsys):
    assert main([str(tiny.folder), str(page_file), "rhythm?", "--json", "--max-new-tokens", "5"]) == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert out.count("\n") == 1
    assert err == NOTICE
    assert data["token_ids"] == tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 5)
    assert [f["label"] for f in data["findings"]] == ["NORM", "MI"]
    assert all(
        set(f) == {"label", "name", "probability", "point", "sensitivity", "precision", "examples", "likely"}
        and 0 <= f["probability"] <= 1
        for f in data["findings"]
    )
    assert (data["model"], data["target"]) == ("tiny", "onnx")
    assert 0 < data["is_ecg"] < 1
    assert (data["whole"], data["turns"]) == (None, 0)  # a model that cannot tell
    assert set(data["timing"]) == {
        "preprocess_ms", "vision_ms", "prefill_ms", "first_token_ms", "decode_tokens_per_s", "tokens", "findings_ms",
        "measure_ms",
    }  # fmt: skip
    assert data["timing"]["tokens"] == 5


def test_no_findings(tiny, page_file, capsys):
    assert main([str(tiny.folder), str(page_file), "--json", "--no-findings"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert main([str(tiny.folder), str(page_file), "--no-findings"]) == 0
    out = capsys.readouterr().out
    assert "NORM" not in out
    assert "findings" not in out


def test_picture_that_is_no_ecg(variant, page_file, capsys):
    folder = str(variant(is_ecg={"threshold": 1.0}))
    assert main([folder, str(page_file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("This picture does not look like an ECG page (is_ecg probability 0.")
    assert "NORM" not in out
    assert main([folder, str(page_file), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["text"].startswith("This picture does not look like an ECG page")
    assert (data["findings"], data["token_ids"]) == ([], [])
    assert main([folder, str(page_file), "--json", "--allow-non-ecg"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["findings"]) == 2
    assert "does not look like an ECG page" in err


def test_seed_repeats(tiny, page_file, capsys):
    texts = []
    for seed in ("1", "1", "2"):
        args = ["--temperature", "3", "--top-p", "0.99", "--seed", seed, "--json"]
        assert main([str(tiny.folder), str(page_file), *args]) == 0
        texts.append(json.loads(capsys.readouterr().out)["token_ids"])
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["--temperature", "-1"], "temperature must be from 0 (greedy) to 10, not -1.0"),
        (["--temperature", "hot"], "argument --temperature: invalid float value: 'hot'; see pulse-ask --help"),
        (["--top-p", "0"], "top-p must be above 0"),
        (["--seed", "-3"], "seed must be 0 or more"),
        (["--threads", "0"], "threads must be 1 or more"),
        (["--max-new-tokens", "0"], "max-new-tokens must be 1 or more"),
        (["--what"], "unrecognized arguments: --what"),
        ([""], "the question is empty"),
        (["x " * 200], "ask a shorter question"),
    ],
)
def test_wrong_use(tiny, page_file, capsys, args, match):
    assert main([str(tiny.folder), str(page_file), *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pulse-ask: ")
    assert err.count("\n") == 1
    assert match in err


def test_nothing_given(capsys):
    assert main([]) == 2
    assert "required: BUNDLE, IMAGE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: path.write_text("hello"), "is not a picture this program reads"),
        (lambda path: Image.new("L", (1, 1)).save(path, "PNG"), "too small"),
        (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0 cut off"), "damaged or cut off"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: None, "does not exist"),
    ],
)
def test_bad_pictures(tiny, tmp_path, capsys, make, match):
    make(tmp_path / "bad.png")
    assert main([str(tiny.folder), str(tmp_path / "bad.png")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert match in err
    assert "bad.png" in err


def test_as_a_process(tiny, page_file):
    done = run(tiny.folder, page_file, "--json")
    assert (done.returncode, done.stderr) == (0, NOTICE)
    assert json.loads(done.stdout)["timing"]["tokens"] > 0


def test_wrong_use_as_a_process(tiny, tmp_path):
    (tmp_path / "a\nb.png").write_text("not a picture")
    done = run(tiny.folder, tmp_path / "a\nb.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_damaged_bundle_as_a_process(variant, page_file):
    folder = variant()
    data = bytearray((folder / "vision.onnx").read_bytes())
    data[-5] ^= 4
    (folder / "vision.onnx").write_bytes(data)
    done = run(folder, page_file)
    assert done.returncode == 2
    assert "vision.onnx: its SHA-256 does not match" in done.stderr


def test_terminal_that_knows_only_ascii(tiny, page_file):
    # The tiny model writes bytes of all kinds when it is hot.
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run(tiny.folder, page_file, "--temperature", "9", "--seed", "3", "--max-new-tokens", "40", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_text_is_streamed_piece_by_piece(tiny, page_file, monkeypatch):
    class Screen(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    monkeypatch.setattr(sys, "stdout", Screen())
    assert main([str(tiny.folder), str(page_file), "--no-findings", "--unconstrained", "--no-measure"]) == 0
    assert sys.stdout.flushed > 2


def test_interrupt_is_quiet(tiny, page_file, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ask.Bundle, "load", interrupt)
    assert main([str(tiny.folder), str(page_file)]) == 130
    assert capsys.readouterr() == ("", "")


def test_reader_that_goes_away_is_no_error(tiny, page_file):
    command = [sys.executable, "-m", "edge_runtime.ask", str(tiny.folder), str(page_file)]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, NOTICE)


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "--max-new-tokens N" in capsys.readouterr().out
