from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime import adapt, ask
from edge_runtime.adapt import LEARNT_CERTIFICATE, main
from edge_runtime.bundle import Bundle, sha256_file
from edge_runtime.learnt import Background
from edge_runtime.session import Session

MODEL = "5" * 64
NAME = "dark pages"
QUESTION = f"Does this ECG show {NAME}?"


def page(seed: int, dark: bool) -> np.ndarray:
    """Noise, whose upper half is darker on pages that have the finding."""
    pixels = np.random.default_rng(seed).integers(80, 256, (32, 48))
    pixels[:16] -= 80 * dark
    return pixels.astype(np.uint8)


@pytest.fixture
def bundle(variant) -> Path:
    return variant(source={"sha256": MODEL}, is_ecg=None)


@pytest.fixture
def background(bundle: Path, tmp_path: Path) -> Path:
    session = Session.open(bundle, threads=1)
    seen = np.stack([session.look(page(seed, False)).features for seed in range(100, 160)])
    Background.of(seen, MODEL).save(tmp_path / "background.npz")
    return tmp_path / "background.npz"


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    for seed in range(14):
        Image.fromarray(page(seed, seed < 10)).save(tmp_path / f"{seed}.png")
    rows = "".join(f"{seed}.png,{int(seed < 10)}\n" for seed in range(14))
    (tmp_path / "examples.csv").write_text(f"file,label\n{rows}")
    return tmp_path / "examples.csv"


@pytest.fixture
def learn(bundle: Path, background: Path, examples: Path, tmp_path: Path):
    def run(*more: str) -> tuple[int, Path]:
        out = tmp_path / "out"
        given = [str(bundle), "--examples", str(examples), "--background", str(background), "--threads", "1"]
        named = [] if "--name" in more else ["--name", NAME]
        return main([*given, "--label", "DARK", *named, "--out", str(out), *more]), out

    return run


def test_a_finding_is_learnt_and_old_answers_stay(learn, bundle: Path, capsys):
    status, out = learn()
    assert status == 0
    printed = capsys.readouterr().out
    assert "DARK, dark pages (learnt from 10 examples)" in printed
    assert "10 of 10 with it, 4 of 4 without it" in printed
    old, new = Bundle.load(bundle), Bundle.load(out)
    kept = {name: entry for name, entry in new.manifest.files.items() if name != LEARNT_CERTIFICATE}
    assert kept == old.manifest.files
    assert new.manifest.inference.findings[:-1] == old.manifest.inference.findings
    before, after = (Session.of(each, threads=1) for each in (old, new))
    for seed, dark in ((20, True), (21, True), (22, False), (23, False)):
        one, other = before.look(page(seed, dark)), after.look(page(seed, dark))
        first, second = (x.ask("rhythm?", max_new_tokens=8, unconstrained=True).finish() for x in (one, other))
        assert first.token_ids == second.token_ids
        assert first.findings == second.findings[:-1]
        found = second.findings[-1]
        assert (found.label, found.likely, found.examples) == ("DARK", dark, 10)


def test_the_certificate_names_the_bundle_and_the_pages(learn, bundle: Path, examples: Path):
    _, out = learn()
    said = json.loads((out / LEARNT_CERTIFICATE).read_text())
    assert said["of"]["manifest_sha256"] == sha256_file(bundle / "manifest.json")
    assert said["checks"][1]["pages"][0] == sha256_file(examples.parent / "0.png")
    assert said["learnt"]["positives_right_when_left_out"] == 10
    [entry] = json.loads((out / "manifest.json").read_text())["learnt"]
    assert entry["head"]["positives"] == 10
    assert len(entry["head"]["examples"]) == 14


def test_its_question_is_answered_by_the_head_and_may_be_followed(learn):
    _, out = learn()
    session = Session.open(out, threads=1)
    for dark in (True, False):
        seen = session.look(page(20, dark))
        start = seen.conversation
        answer = seen.ask(f" {QUESTION.lower()}").finish()
        assert answer.text.startswith("Yes: dark pages (learnt from 10" if dark else "No: dark pages (learnt from 10")
        assert f"{answer.findings[-1].probability:.2f}" in answer.text
        ids, pending = start[1], seen.conversation[1]
        assert ids is None
        assert session.tokenizer.decode(pending[:-1]).endswith(answer.text)  # the next turn reads it


def test_the_table_and_a_report_say_how_many_examples(learn, capsys, tmp_path: Path):
    _, out = learn()
    Image.fromarray(page(20, True)).save(tmp_path / "new.png")
    capsys.readouterr()
    assert ask.main([str(out), str(tmp_path / "new.png"), "--threads", "1", "--no-measure"]) == 0
    lines = capsys.readouterr().out
    [row] = [line for line in lines.splitlines() if line.startswith("DARK")]
    assert "dark pages (learnt from 10 examples)" in row
    assert "*" in row
    assert "each left out in turn" in lines
    assert ask.main([str(out), str(tmp_path / "new.png"), QUESTION, "--threads", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][-1]["examples"] == 10


def test_a_second_finding_can_be_learnt_on_top(learn, background: Path, examples: Path, tmp_path: Path):
    _, out = learn()
    second = [str(out), "--examples", str(examples), "--background", str(background), "--label", "D2"]
    assert main([*second, "--name", "gloomy", "--out", str(tmp_path / "two"), "--threads", "1"]) == 0
    assert [f.label for f in Bundle.load(tmp_path / "two").manifest.inference.findings[-2:]] == ["DARK", "D2"]
    assert main([*second[:-1], "DARK", "--name", "gloomy", "--out", str(tmp_path / "three")]) == 2


def test_an_old_answer_that_changes_writes_nothing(learn, monkeypatch, capsys):
    monkeypatch.setattr(adapt, "_unchanged", lambda *_: False)
    status, out = learn()
    assert status == 1
    assert not out.exists()
    assert "an old answer changed" in capsys.readouterr().err


def test_it_signs(learn, tmp_path: Path):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as s

    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    status, out = learn("--sign", str(tmp_path / "key.pem"))
    assert status == 0
    Bundle.load(out, tmp_path / "public.pem")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "has no rows under"),
        ("file,label\n", "has no rows under"),
        ("name,label\n0.png,1\n", "has no rows under"),
        ("file,label\n0.png,yes\n", "line 2: label must be 1 or 0"),
        ("file,label\n0.png\n", "line 2: label must be 1 or 0"),
        ("file,label\n0.png,1\nno.png,0\n", "line 3: 'no.png' is no file"),
        ("file,label\n0.png,1\n0.png,1\n", "names a file twice"),
        ("file,label\n0.png,0\n", "no row is marked 1"),
    ],
)
def test_bad_tables_are_one_line(learn, examples: Path, capsys, table: str, message: str):
    examples.write_text(table)
    status, out = learn()
    assert status == 2
    assert not out.exists()
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_other_wrong_use_is_one_line(learn, bundle: Path, background: Path, capsys):
    assert learn("--name", "normal ECG")[0] == 2
    assert "already" in capsys.readouterr().err
    Background.of(np.random.default_rng(0).normal(size=(9, 16)), "other").save(background)
    assert learn()[0] == 2
    assert "another model" in capsys.readouterr().err
    assert main([str(bundle), "--examples", "x.csv", "--label", "A", "--name", "b", "--out", str(bundle)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_shipped_bundle_answers_golden_pages_as_before(tmp_path: Path):
    golden = Path(__file__).parents[2] / "pulse" / "ecg" / "examples"
    (tmp_path / "examples.csv").write_text(f"file,label\n{golden / 'c-infarction.png'},1\n")
    given = ["pulse-nano", "--examples", str(tmp_path / "examples.csv"), "--label", "NEW", "--name", "something new"]
    assert main([*given, "--out", str(tmp_path / "out"), "--threads", "1"]) == 0
    old, new = (Session.open(each, threads=1) for each in ("pulse-nano", tmp_path / "out"))
    for name in ("a-atrial-fibrillation.png", "b-normal.png"):
        before, after = (each.look(golden / name).ask().finish() for each in (old, new))
        assert before.findings == after.findings[:-1]
        added = "Likely as well: something new (learnt from 1 example)."
        assert added not in before.text
        assert (added in after.text) == after.findings[-1].likely
        assert after.text.replace(added, "").strip() == before.text
