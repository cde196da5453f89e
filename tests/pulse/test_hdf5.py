"""HDF5 laid out otherwise than SPH's and CODE-15's: its attributes count, and what cannot be read is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pulse.ecg.read import read_record
from pulse.ecg.record import LEADS, RecordError

h5py = pytest.importorskip("h5py")
SIGNAL = np.round(np.random.default_rng(3).normal(0, 0.5, (12, 1100)).cumsum(axis=1) / 9, 3)
SIGNAL -= SIGNAL.mean(axis=1, keepdims=True)


def single(folder: Path, array: Any, attributes: dict[str, Any] | None = None, **options: Any) -> Path:
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("some/ecg", data=array, **options).attrs.update(attributes or {})
    return path


def code(folder: Path, tracings: Any, exams: Any = (7, 8)) -> Path:
    path = folder / "exams.hdf5"
    with h5py.File(path, "w") as file:
        file["exam_id"] = np.array(exams)
        if tracings is None:
            file.create_group("tracings")
        else:
            file["tracings"] = tracings
    return path


TRACINGS = np.stack([SIGNAL.T, SIGNAL.T[::-1]]).astype(np.float32) * 10


@pytest.mark.parametrize("form", ["<f2", ">f4", "<f8"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}, {"compression": "lzf"}])
def test_numbers_of_any_kind(form: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = single(tmp_path, SIGNAL[None].astype(form), **options)
    np.testing.assert_allclose(read_record(path, fs=100).signal, SIGNAL, atol=0.003)


def test_what_attributes_say(tmp_path: Path) -> None:
    said = {"Sampling_Rate": 100.0, "units": "uV", "leads": list(LEADS[::-1])}
    path = single(tmp_path, SIGNAL[::-1] * 1000, said)
    record = read_record(path)
    np.testing.assert_allclose(record.signal, SIGNAL, atol=1e-5)
    assert record.fs == 100
    np.testing.assert_allclose(read_record(path, fs=100, unit="µV", leads=LEADS[::-1]).signal, SIGNAL, atol=1e-5)
    for given, line in (
        ({"fs": 500}, "own fs is 100.0"),
        ({"unit": "mV"}, "own unit is uV"),
        ({"leads": LEADS}, "own leads"),
    ):
        with pytest.raises(RecordError, match=f"{line}.*; leave {next(iter(given))} out"):
            read_record(path, **given)
    one = single(tmp_path, SIGNAL[::-1], {"leads": ", ".join(LEADS[::-1])})
    np.testing.assert_allclose(read_record(one, fs=100).signal, SIGNAL, atol=1e-5)


def test_a_gain_is_not_passed_over(tmp_path: Path) -> None:
    steps = np.round(SIGNAL * 20).astype(np.int16)
    with pytest.raises(RecordError, match="has a gain of 20; save millivolts, or give the samples' unit"):
        read_record(single(tmp_path, steps, {"gain": 20}), fs=100)
    assert read_record(single(tmp_path, SIGNAL, {"gain": 1.0}), fs=100).fs == 100


@pytest.mark.parametrize(
    ("tracings", "exams", "says"),
    [
        ((TRACINGS * 10).astype(np.int16), (7, 8), r"are int16 \[2, 1100, 12\] of 2 exams"),
        (TRACINGS[:, :, :8], (7, 8), r"are float32 \[2, 1100, 8\]"),
        (TRACINGS[0], (7, 8), r"are float32 \[1100, 12\]"),
        (TRACINGS[:1], (7, 8), r"\[1, 1100, 12\] of 2 exams"),
        (TRACINGS[:0], (), "holds no exams"),
        (None, (7, 8), "are no array of 2 exams"),
        (TRACINGS, (7, 7), "holds exam 7 2 times"),
        (TRACINGS, (b"a", b"b"), "is no HDF5 file that can be read"),
    ],
)
def test_code_15_of_other_shapes_is_refused(tracings: Any, exams: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=says):
        read_record(f"{code(tmp_path, tracings, exams)}#7")


@pytest.mark.parametrize("exams", [(b"7", b"8"), (7.0, 8.0), ((7,), (8,))])
def test_code_15_turned_and_with_other_numbers(exams: Any, tmp_path: Path) -> None:
    path = code(tmp_path, TRACINGS.transpose(0, 2, 1), exams)
    np.testing.assert_allclose(read_record(f"{path}#8").signal, SIGNAL[:, ::-1], atol=1e-5)


@pytest.mark.parametrize("array", [np.float32(3), h5py.Empty("f"), SIGNAL > 0, SIGNAL[:, :12], TRACINGS])
def test_what_holds_no_leads_is_named(array: Any, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds .*; save one array of numbers as \[12, n\] or"):
        read_record(single(tmp_path, array), fs=100)
