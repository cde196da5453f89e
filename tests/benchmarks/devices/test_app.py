"""The app's benchmark in the project's reports: its readings once each, for its own bundle alone."""

from __future__ import annotations

import json

import pytest

from benchmarks.devices import open_device
from benchmarks.subjects.environment import bundle_digest
from benchmarks.verbs.latency import measure
from demo_app.benchmark import measure as measure_in_app
from demo_app.benchmark import report
from demo_app.reader import Reader
from demo_app.worker import Job
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.image import load


@pytest.fixture
def written(bundle, page, tmp_path):
    """What the app writes after six runs."""
    job = Job(lambda job: None, lambda deliver: None, lambda message: None)
    reader = Reader()
    reader.load(bundle, None, job)
    measured = measure_in_app(reader, load(page), job, lambda run: None, runs=6)
    path = tmp_path / "app-1.json"
    path.write_text(json.dumps(report(reader, measured, 30.0)))
    return path


def test_readings_of_the_app_become_rounds(bundle, page, written):
    device = open_device(f"app://{written}")
    (row,) = measure(device, [Bundle.load(bundle)], page, rounds=3)
    assert row["evidence"] == "measured"
    whole = json.loads(written.read_text())
    firsts = whole["measured"]["warm"]["first_token_ms"]
    assert len(row["figures"]["first_token_ms"]["rounds"]) == 3
    assert row["figures"]["first_token_ms"]["min"] == pytest.approx(min(firsts), abs=1e-3)
    assert row["figures"]["start_ms"] is None  # a window's start is not a command's
    assert row["figures"]["peak_mb"]["median"] > 10
    assert row["tokens"] == whole["measured"]["tokens"] > 0
    assert device.about()["app"] == {"longest_frame_ms": 30.0}


def test_what_the_file_does_not_hold_is_not_run(bundle, page, written):
    (row,) = measure(open_device(f"app://{written}"), [Bundle.load(bundle)], page, rounds=4)
    assert (row["evidence"], "--rounds 3 or fewer" in row["reason"]) == ("not_run", True)
    other = json.loads(written.read_text())
    other["bundle"]["sha256"] = "0" * 64
    written.write_text(json.dumps(other))
    assert bundle_digest(bundle) != "0" * 64
    (row,) = measure(open_device(f"app://{written}"), [Bundle.load(bundle)], page, rounds=1)
    assert "is of another bundle" in row["reason"]


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("{", "no report of the app"), ('{"measured": 1}', "no report")]
)
def test_file_that_the_app_did_not_write_is_one_line(tmp_path, text, message):
    path = tmp_path / "app.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        open_device(f"app://{path}")
