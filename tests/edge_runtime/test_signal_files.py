"""Signals as files, read back by the wfdb package and as a table."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from edge_runtime.signal_files import signal_files


@pytest.fixture
def mv():
    found = np.full((12, 700), np.nan, np.float32)
    found[1] = np.sin(np.arange(700) / 20) * 1.5
    found[7, 100:300] = np.linspace(-40, 40, 200)
    return found


def test_wfdb_reads_them_back(mv, tmp_path):
    wfdb = pytest.importorskip("wfdb")
    for name, data in signal_files("a page", mv, 500.0).items():
        (tmp_path / name).write_bytes(data)
    record = wfdb.rdrecord(str(tmp_path / "a_page"))
    assert (record.sig_name, record.fs, record.units) == (["II", "V2"], 500, ["mV", "mV"])
    assert np.abs(record.p_signal[:, 0] - mv[1]).max() <= 0.0005
    assert np.isnan(record.p_signal[:100, 1]).all()
    assert record.p_signal[100:300, 1] == pytest.approx(np.clip(mv[7, 100:300], -32, 32), abs=0.0006)
    digits = wfdb.rdrecord(str(tmp_path / "a_page"), physical=False)
    assert [value % 65536 for value in digits.checksum] == digits.calc_checksum()
    assert digits.init_value == [int(first) for first in digits.d_signal[0]]


def test_a_table_has_empty_fields_for_gaps(mv):
    rows = list(csv.reader(signal_files("page", mv, 500.0)["page.csv"].decode().splitlines()))
    assert rows[0] == ["seconds", "II", "V2"]
    assert rows[1] == ["0.0000", "0.0000", ""]
    assert rows[101] == ["0.2000", f"{mv[1, 100]:.4f}", "-40.0000"]
