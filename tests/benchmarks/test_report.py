"""The report: written from real runs, read back by its schema, and held against another."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from benchmarks.cli import main
from benchmarks.report.chips import chip_rows
from benchmarks.report.compare import compare, read_report
from benchmarks.report.plots import draw
from benchmarks.report.summary import number
from edge_runtime.bundle import write_manifest
from edge_runtime.errors import UserError

FEW = ["--limit", "6", "--rounds", "2", "--runs", "2", "--workers", "1"]


@pytest.fixture(scope="module")
def made(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of one bundle, with a sweep over the context and two devices that are not here."""
    folder = tmp_path_factory.mktemp("report")
    argv = ["--context", "64,200", "--estimate", "jetson-orin-nano-8gb,pixel-8", "--out", str(folder / "first")]
    assert main(["report", str(bundle), *FEW, *argv]) == 0
    return folder / "first"


def test_files_that_need_nothing_else(made: Path, bundle: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == ["report.html", "report.json", "report.md", "schema.json"]
    page = (made / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)  # nothing is loaded from anywhere
    assert "@import" not in page
    assert page.count("<svg") == 5
    assert "not a medical device" in page.lower()
    report = read_report(made / "report.json")
    schema = json.loads((made / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    first = report["devices"][0]["rows"][0]["figures"]["first_token_ms"]
    for text in (page, (made / "report.md").read_text()):
        assert number(first["median"], 0) in text
        assert "CC BY 4.0" in text or not report["accuracy"]["models"][0]["kept"]["flips"]
        assert bundle.name in text
    assert report["accuracy"]["records"] == 6
    assert [row["setting"]["context"] for row in report["devices"][0]["sweep"]] == [64, 200]
    assert report["bundles"][0]["certificate"]["status"] == "pass"


def test_what_was_never_run_looks_different(made: Path) -> None:
    report = read_report(made / "report.json")
    jetson, phone = report["estimates"]["rows"]
    assert (jetson["evidence"], phone["evidence"]) == ("estimated", "not_run")
    guess = number(jetson["figures"]["vision_ms"], 1)
    assert f'<td class="estimated">{guess}</td>' in (made / "report.html").read_text()
    assert f"*≈ {guess}*" in (made / "report.md").read_text()
    assert report["estimates"]["median_error"] is None  # one bundle leaves none to foretell


def test_every_target_and_chip_has_its_evidence(made: Path) -> None:
    report = read_report(made / "report.json")
    rows = {(row["target"], row["chip"]): row for row in report["chips"]}
    here = rows["onnx", report["environment"]["cpu"]]
    assert (here["measured"], here["not_run"]) == (["answers (6 records)", "times"], [])
    jetson = rows["onnx", "Jetson Orin Nano 8GB"]
    assert (jetson["measured"], jetson["estimated"], jetson["not_run"]) == ([], ["times"], ["answers"])
    # What nothing was exported for is named too.
    for nowhere in (("qnn", "Hexagon of sm8650"), ("coreai", "Apple's GPU")):
        assert rows[nowhere]["not_run"] == ["answers", "times"]
    assert '<td>qnn</td><td class="left">Hexagon of sm8650</td>' in (made / "report.html").read_text()
    assert "| qnn | Hexagon of sm8650 |  |  |  |  | answers, times |" in (made / "report.md").read_text()


def test_what_a_simulator_answered_is_not_measured(made: Path) -> None:
    def for_hexagon(other: dict[str, Any]) -> None:
        for bundle in (other["bundles"][0], other["accuracy"]["models"][0]["subject"]):
            bundle["target"] = "qnn"
        other["accuracy"]["models"][0].update(evidence="simulated", ran_by="QNN")
        other["devices"][0]["rows"][0]["evidence"] = "not_run"

    report = changed(read_report(made / "report.json"), for_hexagon)
    rows = {(row["target"], row["chip"]): row for row in chip_rows(report)}
    hexagon = rows["qnn", "hexagon"]
    assert (hexagon["simulated"], hexagon["measured"]) == (["answers (6 records)"], [])
    assert hexagon["not_run"] == ["times"]
    assert ("qnn", report["environment"]["cpu"]) not in rows
    (caption,) = (caption for caption, _ in draw(report) if "bits of a weight" in caption)
    assert "simulated" in caption


def test_a_report_is_not_worse_than_itself(made: Path) -> None:
    report = read_report(made / "report.json")
    assert compare(report, report) == {"regressions": [], "notes": []}


def test_a_bundle_slowed_on_purpose_exits_1(
    made: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = tmp_path / bundle.name
    shutil.copytree(bundle, slow)
    burden(slow / "vision.onnx")
    write_manifest(slow, json.loads((slow / "manifest.json").read_text()))
    argv = ["report", str(slow), *FEW, "--out", str(tmp_path / "second"), "--compare", str(made / "report.json")]
    assert main(argv) == 1
    printed = capsys.readouterr().out
    assert re.search(rf"worse than before: local, {bundle.name}: vision tower [\d.]+ ms, was", printed)
    assert "worse than before: local, nano: F1" not in printed  # slower, and not less right
    assert "vision tower" in (tmp_path / "second" / "report.html").read_text()


def burden(path: Path) -> None:
    """Put forty products of 600 x 600 before the vision graph's output, times nothing: the same features, later."""
    model = onnx.load(path)
    graph = model.graph
    (last,) = (node for node in graph.node if "features" in node.output)
    last.output[list(last.output).index("features")] = "b_light"
    constants = {
        "b_cell": np.array([1, 1], np.int64),
        "b_square": np.array([600, 600], np.int64),
        "b_weight": np.full((600, 600), 1e-3, np.float32),
        "b_nothing": np.array(0, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    steps = [
        ("ReduceMean", ["b_light"], "b_mean"),
        ("Reshape", ["b_mean", "b_cell"], "b_one"),
        ("Expand", ["b_one", "b_square"], "b_0"),
        *(("MatMul", [f"b_{k}", "b_weight"], f"b_{k + 1}") for k in range(40)),
        ("ReduceMean", ["b_40"], "b_weighed"),
        ("Mul", ["b_weighed", "b_nothing"], "b_zero"),
        ("Add", ["b_light", "b_zero"], "features"),
    ]
    for kind, inputs, output in steps:
        flat = {"keepdims": 0} if kind == "ReduceMean" else {}
        graph.node.append(helper.make_node(kind, inputs, [output], **flat))
    onnx.save(model, path)


def changed(report: dict[str, Any], change: Any) -> dict[str, Any]:
    other = copy.deepcopy(report)
    change(other)
    return other


def test_what_is_worse_is_named(made: Path) -> None:
    report = read_report(made / "report.json")

    def larger(other: dict[str, Any]) -> None:
        other["bundles"][0]["bytes"] *= 2
        other["bundles"][0]["certificate"]["status"] = "fail"

    lines = compare(report, changed(report, larger))["regressions"]
    doubled = f"{2 * report['bundles'][0]['bytes'] / 1e6:.2f}"
    assert [line.split(": ")[1].split()[0] for line in lines] == [doubled, "its"]

    def silent(other: dict[str, Any]) -> None:
        for row in other["accuracy"]["models"][0]["answers"]:
            row["answers"] = ["I cannot tell."]

    (line,) = compare(report, changed(report, silent))["regressions"]
    assert line.startswith("nano: F1 0.0, was ")

    def gone(other: dict[str, Any]) -> None:
        other["devices"][0]["rows"][0] = {
            **{key: other["devices"][0]["rows"][0][key] for key in ("bundle", "setting")},
            "evidence": "not_run",
            "reason": "no runtime",
        }

    assert compare(report, changed(report, gone))["regressions"] == ["local, nano: could be run before; no runtime"]


def test_what_cannot_be_compared_is_a_note(made: Path) -> None:
    report = read_report(made / "report.json")

    def elsewhere(other: dict[str, Any]) -> None:
        other["devices"][0]["about"]["cpu"] = "a faster one"
        other["accuracy"]["models"][0]["answers"] = other["accuracy"]["models"][0]["answers"][1:]

    found = compare(changed(report, elsewhere), report)
    assert found["regressions"] == []
    assert [note.split(": ")[1].split(",")[0] for note in found["notes"]] == [
        "times are not compared",
        "answers are not compared",
    ]


def test_wrong_use_is_one_line(made: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.json").write_text('{"schema_version": 1}')
    (tmp_path / "text.json").write_text("no")
    for argv, line in (
        ([str(bundle), "--out", str(made)], "already exists; remove it or give another --out"),
        ([str(bundle), str(bundle), "--out", "x"], "two of the bundles' folders have the same name"),
        (
            [str(bundle), "--out", "x", "--compare", str(tmp_path / "old.json")],
            "is a report of schema version 1, this version of pulse-bench reads 2; make it again",
        ),
        ([str(bundle), "--out", "x", "--compare", str(tmp_path / "text.json")], "is not JSON"),
        ([str(bundle), "--out", "x", "--compare", str(tmp_path / "none.json")], "cannot be read"),
        ([str(bundle), "--out", "x", "--reference", "none"], "'none': no such folder"),
        ([str(bundle), "--out", "x", "--estimate", "toaster"], "device file toaster: is not there; give a path or one"),
    ):
        assert main(["report", *argv]) == 2
        err = capsys.readouterr().err
        assert line in err
        assert err.count("\n") == 1


def test_a_damaged_report_names_the_field(made: Path, tmp_path: Path) -> None:
    report = json.loads((made / "report.json").read_text())
    report["devices"][0]["rows"][0]["evidence"] = "guessed"
    (tmp_path / "r.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"devices/0/rows/0/evidence: .*guessed"):
        read_report(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda report: report["devices"][0]["rows"][0].pop("figures"), "devices/0/rows/0: .*figures"),
        (lambda report: report["accuracy"]["models"][0].pop("kept"), "accuracy/models/0: .*kept"),
        (lambda report: report["accuracy"]["models"][0]["answers"][0].pop("gold"), "models/0/answers/0: .*gold"),
        (lambda report: report["bundles"][0].update(sha256="0"), "bundles/0/sha256"),
        (lambda report: report["bundles"].clear(), "bundles: "),
        (lambda report: report.update(schema_version="2"), "schema_version"),
    ],
)
def test_the_generated_schema_asks_for_every_field(made: Path, tmp_path: Path, change: Any, where: str) -> None:
    report = changed(json.loads((made / "report.json").read_text()), change)
    (tmp_path / "r.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=where):
        read_report(tmp_path / "r.json")
