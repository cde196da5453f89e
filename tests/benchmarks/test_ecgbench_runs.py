"""The nine subsets end to end: small files in each published form, the shipped student, real answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from benchmarks.cli import main
from benchmarks.tasks import TASKS
from benchmarks.tasks._ecgbench.read import rows
from benchmarks.tasks._ecgbench.subset import Subset
from edge_runtime.errors import UserError
from edge_runtime.guard import ALSO
from tests.openai_server import serving

SUBSETS = {name: task for name, task in TASKS.all() if isinstance(task, Subset)}
EXAMPLES = Path(__file__).parents[2] / "pulse" / "ecg" / "examples"
PTBXL = Path(__file__).parents[1] / "data" / "ptbxl"
PAGES = sorted(EXAMPLES.glob("*.png"))[:3]  # atrial fibrillation, normal, infarction
CLASSES = (
    "Please classify the ECG image into the following diagnostic statement classes:\n{}\n"
    "Directly output the class name and separate with a semicolon."
)
LETTERS = "Answer the following multiple choice question.\nA. Normal\nB. Atrial fibrillation\nC. Infarction\nD. Other"
OPTIONS = (
    "Given this ECG image, select all that apply.\nQuestion: Which?\nOptions: afib, normal, none\n\n"
    "Only answer based on the given Options without any explanation."
)
# subset -> (question, gold of the three pages)
MADE = {
    "ptb-test": (CLASSES.format("NORM(Normal), MI(Infarction), STTC(ST), CD(Conduction), HYP(Hypertrophy)"),
                 ("MI; STTC; HYP", "NORM", "MI; CD")),
    "ptb-test-report": ("Write a diagnostic report for this ECG image.",
                        ("Atrial fibrillation. LVH.", "Sinus rhythm. Normal ECG.", "Anteroseptal infarct. LAFB.")),
    "code15-test": (CLASSES.format("NORM(Normal), ABNORMAL(Abnormal), AF(Fibrillation), RBBB(Right block)"),
                    ("ABNORMAL; AF", "NORM", "ABNORMAL")),
    "cpsc-test": (CLASSES.format("NORM(Normal ECG), AF(Atrial fibrillation), LBBB(Left block), STD(ST depression)"),
                  ("AF", "NORM", "STD")),
    "ecgqa-test": (OPTIONS, ("afib", "normal", "none")),
    "csn-test-no-cot": (LETTERS, ("B. Atrial fibrillation", "A. Normal", "C. Infarction")),
    "g12-test-no-cot": (LETTERS, ("B. Atrial fibrillation", "A. Normal", "C. Infarction")),
    "mmmu-ecg": (LETTERS, ("B", "A", "C")),
}  # fmt: skip


def said(question: str, answer: str, as_characters: bool = False) -> list[dict[str, Any]]:
    texts = [f"<image>\n{question}", answer]
    values = [list(text) for text in texts] if as_characters else texts
    return [{"from": who, "value": value} for who, value in zip(("human", "gpt"), values, strict=True)]


@pytest.fixture(scope="module")
def ecgbench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every subset of three rows: Parquet with the pictures inside, multiple choice and Arena as JSON beside them."""
    folder = tmp_path_factory.mktemp("ecgbench")
    (folder / "images").mkdir()
    for page in PAGES:
        (folder / "images" / page.name).write_bytes(page.read_bytes())
    for name, (question, gold) in MADE.items():
        (folder / name).mkdir()
        entries = [
            {
                "id": f"{name}-{k:05d}" + ("-q_0" if name == "ecgqa-test" else ""),
                "image_path": f"images/{page.name}",
                "conversations": said(question, want, name == "ecgqa-test"),
            }
            for k, (page, want) in enumerate(zip(PAGES, gold, strict=True))
        ]
        if name.endswith("-no-cot") or name == "mmmu-ecg":
            (folder / name / "test.json").write_text(json.dumps(entries))
        else:
            for entry, page in zip(entries, PAGES, strict=True):
                entry["image"] = {"bytes": page.read_bytes(), "path": page.name}
            pyarrow.parquet.write_table(
                pyarrow.Table.from_pylist(entries), folder / name / "test-00000-of-00001.parquet"
            )
    (folder / "arena").mkdir()
    turns = [
        {"question": "<image>\nWhat is the rhythm?", "answer": "Sinus rhythm."},
        {"question": "What is the axis?", "answer": "Normal axis."},
    ]
    entry = {"id": "ecg-arena-1", "image": f"images/{PAGES[1].name}", "conversations": turns}
    (folder / "arena" / "arena.json").write_text(json.dumps([entry]))
    return folder


def run(bundle: Path, task: str, data: Path, out: Path, *more: str) -> dict[str, Any]:
    argv = ["accuracy", str(bundle), "--task", task, "--data", str(data), "--out", str(out), "--workers", "1", *more]
    assert main(argv) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize("task", ["ptb-test", "code15-test", "cpsc-test"])
def test_classes(bundle: Path, ecgbench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str) -> None:
    result = run(bundle, task, ecgbench, tmp_path / "x.json", "--limit", "3")
    figures, classes = result["figures"], MADE[task][0]
    assert (figures["rows"], figures["published_rows"]) == (3, SUBSETS[task].rows)
    for row, gold in zip(result["answers"], MADE[task][1], strict=True):
        assert row["gold"] == [gold]
        assert all(f"{code}(" in classes for code in row["answers"][0].split("; "))  # held to the classes listed
        assert row["probabilities"].keys() == dict(SUBSETS[task].findings).keys()
    assert result["answers"][0]["probabilities"].get("AF", 1) > 0.5 > result["answers"][1]["probabilities"].get("AF", 0)
    assert result["answers"][1]["answers"] == ["NORM"]
    assert 0.5 < figures["macro"]["auc"][0] <= 1
    assert f"3 rows of the {SUBSETS[task].rows} published" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["csn-test-no-cot", "g12-test-no-cot", "mmmu-ecg", "ecgqa-test"])
def test_choices(bundle: Path, ecgbench: Path, tmp_path: Path, task: str) -> None:
    held = run(bundle, task, ecgbench, tmp_path / "x.json", "--limit", "3")
    allowed = {"afib", "normal", "none"} if task == "ecgqa-test" else set("ABCD")
    for row in held["answers"]:
        assert set(row["answers"][0].split(", ")) <= allowed
        assert 0 < row["likelihood"] <= 1
    assert held["figures"].get("drawn_at_random", 0) == 0
    assert 0 <= held["figures"]["confidence"]["calibration_error"] <= 1
    if task == "mmmu-ecg":
        free = run(bundle, task, ecgbench, tmp_path / "y.json", "--limit", "3", "--unconstrained")
        assert [row["likelihood"] for row in free["answers"]] == [None] * 3
        assert "confidence" not in free["figures"]
        assert [row["answers"] for row in free["answers"]] != [row["answers"] for row in held["answers"]]


def test_a_report_and_its_judge(bundle: Path, ecgbench: Path, tmp_path: Path, capsys) -> None:
    offline = run(bundle, "ptb-test-report", ecgbench, tmp_path / "x.json")  # no exact count is asked of it
    assert "not_run (give --judge" in capsys.readouterr().out
    found = offline["figures"]["findings"]
    assert 0 < found["f1"][0] <= 100
    assert found["named_in_references"] == 6

    def grade(messages: list[dict[str, str]]) -> str | int:
        if "LAFB" in messages[1]["content"]:
            return "I would rather not."
        return 'Here it is: {"diagnosis": 8, "waveform": 5, "rhythm": 2}'

    with serving(grade) as (url, seen):
        judge = ["--judge", url, "--judge-model", "cardiologist"]
        judged = run(bundle, "ptb-test-report", ecgbench, tmp_path / "x.json", *judge)["figures"]["judge"]
    assert judged["score"] == [50, 50, 50]
    assert judged["criteria"] == {"diagnosis": 80, "waveform": 50, "rhythm": 20}
    assert judged["unjudged"] == 1
    assert len(seen) == 4  # what is no grade is asked for once more
    assert {(request["model"], request["temperature"]) for request in seen} == {("cardiologist", 0)}
    asked = "\n".join(request["messages"][1]["content"] for request in seen)
    for row in offline["answers"]:
        assert row["answers"][0] in asked
        assert row["gold"][0] in asked
    assert "judge cardiologist       50.0" in capsys.readouterr().out


def test_arena_is_one_conversation(bundle: Path, ecgbench: Path, tmp_path: Path) -> None:
    tries: list[int] = []

    def grade(_: list[dict[str, str]]) -> str | int:
        tries.append(1)
        return 503 if len(tries) == 1 else '{"accuracy": 10, "completeness": 9, "instruction": 8}'

    with serving(grade) as (url, _):
        more = ["--judge", url, "--judge-model", "m"]
        result = run(bundle, "arena", ecgbench, tmp_path / "x.json", *more)
    (row,) = result["answers"]
    assert len(row["answers"]) == len(row["questions"]) == 2
    assert "rhythm" in row["answers"][0]
    assert "axis" in row["answers"][1]
    assert result["figures"]["judge"]["score"][0] == 90
    assert len(tries) == 2  # an overloaded server is tried again


def test_reports_of_ptbxl(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held, free = (
        run(bundle, "ptbxl-report", PTBXL, tmp_path / "x.json", "--fold", "9", *more)
        for more in ([], ["--unconstrained"])
    )
    assert held["figures"]["records"] == 5
    for a, b in zip(held["answers"], free["answers"], strict=True):
        assert b["left_out"] == []
        added = a["answers"][0].partition(ALSO)[2]
        assert (a["answers"] == b["answers"]) == (not a["left_out"] and not added)
        assert all(clause.lower() in b["answers"][0].lower() for clause in a["left_out"])
    assert held["figures"]["clauses_left_out"] == sum(len(row["left_out"]) for row in held["answers"])
    assert "5 records of 5 patients" in capsys.readouterr().out


def test_a_question_longer_than_the_context_is_wrong_and_told(
    bundle: Path, ecgbench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"id": "1", "image": str(PAGES[0]), "conversations": said(LETTERS + "\n" + "x. ZZ" * 1000, "A")}
    (tmp_path / "mmmu-ecg.json").write_text(json.dumps([entry]))
    figures = run(bundle, "mmmu-ecg", tmp_path, tmp_path / "out.txt", "--limit", "1")["figures"]
    assert figures["did_not_fit"] == 1
    assert figures["without_luck"][0] == 0
    assert "1 questions did not fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "more", "words"),
    [
        ("ptb-test", ["--fold", "9"], "unrecognized arguments: --fold 9"),
        ("ptb-test", ["--photo", "1"], "unrecognized arguments: --photo 1"),
        ("ptb-test", ["--judge", "http://x", "--judge-model", "m"], "unrecognized arguments: --judge"),
        ("ptbxl-report", [], "holds no scp_statements.csv"),
        ("ptbxl-report", ["--fold", "11"], "invalid choice: 11"),
        ("arena", ["--judge", "http://x"], "belong together"),
        ("mmmu-ecg", [], "exactly 200"),
        ("arena", ["--judge", "http://127.0.0.1:9/v1", "--judge-model", "m"], "gave no answer"),
    ],
)
def test_wrong_use_is_one_line(
    bundle: Path, ecgbench: Path, capsys: pytest.CaptureFixture[str], task: str, more: list[str], words: str
) -> None:
    assert main(["accuracy", str(bundle), "--task", task, "--data", str(ecgbench), "--workers", "1", *more]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mmmu-ecg.json", "{", "cannot be read as JSON"),
        ("mmmu-ecg.json", "{}", "no list of rows"),
        ("mmmu-ecg.json", json.dumps([{"id": "1", "conversations": said("q", "a"), "image": "no.png"}]), "not there"),
        ("mmmu-ecg.json", json.dumps([{"id": "1", "conversations": said("q", "a")[:1]}]), "do not go human, gpt"),
        ("mmmu-ecg.json", json.dumps([{"id": "1", "conversations": []}]), "no turns"),
        ("test.parquet", "PAR1", "cannot be read as Parquet"),
        ("nothing.txt", "", "holds no Parquet or JSON"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=words):
        list(rows(SUBSETS["mmmu-ecg"], tmp_path))


def test_a_conversation_may_be_json_in_a_column(tmp_path: Path) -> None:
    made = [{"id": "1", "image": PAGES[0].read_bytes(), "conversations": json.dumps(said("q", "a"))}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(made), tmp_path / "x.parquet")
    (row,) = rows(SUBSETS["mmmu-ecg"], tmp_path)
    assert (row.turns[0].question, row.turns[0].answer) == ("q", "a")
    assert row.picture == PAGES[0].read_bytes()


def test_a_subset_has_no_data_of_its_own(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accuracy", str(bundle), "--task", "mmmu-ecg"]) == 2
    assert "mmmu-ecg needs --data: ECGBench's folder" in capsys.readouterr().err


def test_retention_of_any_task(
    bundle: Path, ecgbench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A choice and a report in words: verdicts go by each task's own headline."""
    for task, headline in (("mmmu-ecg", "accuracy"), ("ptb-test-report", "f1")):
        out = tmp_path / f"{task}.json"
        argv = ["retention", str(bundle), str(bundle), "--task", task, "--data", str(ecgbench), "--limit", "3"]
        assert main([*argv, "--workers", "1", "--out", str(out)]) == 0
        result = json.loads(out.read_text())
        (model,) = result["models"]
        assert (result["task"], result["records"], result["groups"]) == (task, 3, 3)
        verdict = model["kept"]["verdict"]
        assert (verdict["figure"], verdict["margin"], verdict["found"]) == (headline, 2, "non-inferior")
        assert model["kept"]["figures"][headline]["difference"] == 0
        assert model["kept"]["same_answers"] == 3
        assert "3 records of 3 records" in capsys.readouterr().out
