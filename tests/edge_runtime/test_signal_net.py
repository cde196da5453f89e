"""Signals: what the network is given of a recording, and what a session makes of its log odds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, bundle_folder
from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from edge_runtime.inference import Calibration
from edge_runtime.leads import LEADS
from edge_runtime.recording import Recording
from edge_runtime.session import Session
from edge_runtime.signal_input import signal_input
from edge_runtime.signal_net import FILE, SignalNet
from edge_runtime.tokenizer import Tokenizer
from tests.heartbeats import Heart, regular


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording(Heart().record(regular(72)), 500.0)


def test_each_lead_lies_around_its_median_and_what_is_unknown_is_marked():
    mv = np.full((12, 1000), np.nan)
    mv[0], mv[1, 250:500] = 0.4, np.arange(250) / 1000
    leads = signal_input(Recording(mv, 100.0))
    assert leads.shape == (24, 1024)
    assert not leads[0].any()
    assert leads[1, 250:500] == pytest.approx(np.arange(250) / 1000 - 0.1245)
    assert leads[12:, :].sum(1).tolist() == [1000, 250, *[0] * 10]
    assert not leads[1, :250].any()


@pytest.mark.parametrize("fs", [1000.0, 500.0, 360.0, 257.0, 128.0, 100.0, 50.0])
def test_a_wave_is_the_same_at_every_rate(fs):
    seconds = np.arange(round(10 * fs)) / fs
    leads = signal_input(Recording(np.tile(np.sin(2 * np.pi * 2 * seconds), (12, 1)), fs))
    # A cell's mean lies at its middle: half a hundredth later at high rates.
    lag = 0.0 if fs <= 100 else (math.ceil(fs / 100) - 1) / 2 / fs
    want = np.sin(2 * np.pi * 2 * (np.arange(1000) / 100 + lag))
    assert leads[3, 20:980] == pytest.approx(want[20:980], abs=0.08)


def test_what_comes_after_ten_seconds_is_left_out_and_a_gap_spreads_no_further():
    mv = np.zeros((12, 6000))
    mv[:, 5500:] = 7.0
    mv[2, 1000:1100] = np.nan
    leads = signal_input(Recording(mv, 500.0))
    assert not leads[:12].any()
    assert np.flatnonzero(leads[14] == 0).tolist() == list(range(200, 220))


@pytest.mark.parametrize(("mv", "fs", "said"), [
    (np.zeros((11, 9)), 100.0, "signals must be"), (np.zeros((12, 0)), 100.0, "signals must be"),
    (np.zeros((12, 9)), 0.0, "above 0"), (np.full((12, 9), np.nan), 100.0, "no sample"),
])  # fmt: skip
def test_what_is_no_recording_is_refused(mv, fs, said):
    with pytest.raises(UserError, match=said):
        Recording(mv, fs)


def test_a_file_that_is_no_network_is_refused_in_one_line(tmp_path):
    for content in (b"", b"PK\x03\x04 cut off"):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(UserError, match="no network of signals"):
            SignalNet(tmp_path / FILE)
    with np.load(bundle_folder("pulse-nano") / FILE) as kept:
        arrays = dict(kept)
    arrays["3.1.a.w"] = arrays["3.1.a.w"][:-1]
    np.savez(tmp_path / FILE, **arrays)
    with pytest.raises(UserError, match="export the bundle again"):
        SignalNet(tmp_path / FILE)


def test_the_shipped_network_reads_leads_and_not_their_absence(recording):
    net = SignalNet(bundle_folder("pulse-nano") / FILE)
    assert set(net.labels) == {
        "NORM",
        "MI",
        "STTC",
        "CD",
        "HYP",
        "AFIB",
        "PACE",
        "CLBBB",
        "CRBBB",
        "1AVB",
        "LVH",
        "PVC",
    }
    some = replace(recording, mv=np.where(np.isin(LEADS, ("V1", "V2"))[:, None], np.nan, recording.mv))
    first, again, less = (net.read(each) for each in (recording, recording, some))
    assert first == again
    assert first != less
    assert all(map(math.isfinite, first.values()))


def test_a_recordings_findings_are_those_of_its_page_and_its_signals(recording):
    bundle = Bundle.load(bundle_folder("pulse-nano"))
    session = Session.of(bundle, 1)
    page = session.look(recording, measure=True)
    alone = Session(open_engine(bundle, 1), session.inference, Tokenizer(bundle.path("tokenizer"))).look(recording)
    assert page.looks_like_ecg
    assert page.by_signals
    assert not alone.by_signals
    for spec in session.inference.findings:
        true, joint = spec.calibration, spec.recorded
        assert true is not None
        assert joint is not None
        p = alone.finding(spec).probability
        odds = (math.log(p / (1 - p)) - true.offset) / true.slope
        both = joint.slope * odds + joint.signal_slope * page.by_signals[spec.label] + joint.offset
        found = page.finding(spec)
        assert found.probability == pytest.approx(1 / (1 + math.exp(-both)), abs=1e-5)
        assert (found.point, found.sensitivity, found.precision) == (joint.point, joint.sensitivity, joint.precision)
    measured = page.evidence
    assert measured is not None
    assert measured.values["rate_bpm"] == pytest.approx(72, abs=1)
    text = page.ask(temperature=0).finish().text
    assert "72" in text


def test_a_manifest_keeps_both_calibrations_and_one_of_before_is_read_the_same():
    manifest = json.loads((bundle_folder("pulse-nano") / "manifest.json").read_text(encoding="utf-8"))
    assert all(each["recorded"]["signal_slope"] > 0 for each in manifest["findings"])
    assert "signal_slope" not in Calibration().to_dict()
    assert Calibration(signal_slope=0.5).to_dict()["signal_slope"] == 0.5


def test_the_shipped_file_is_the_checkpoints():
    ours, theirs = bundle_folder("pulse-nano") / FILE, Path("pulse") / "nano" / FILE
    assert ours.read_bytes() == (Path(__file__).resolve().parents[2] / theirs).read_bytes()
