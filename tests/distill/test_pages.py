"""Training pages: functions of seed, epoch and record; begun at any beat; some of them no ECG at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.negatives import not_an_ecg
from distill.pages import PageMix, Pages
from distill.students.nano import STUDENT as NANO
from distill.time_shift import time_shifted
from pulse.ecg.paper.variety import varied_page


def test_a_training_page_depends_on_seed_epoch_and_record_alone(dataset: DatasetCache) -> None:
    rows, spec = dataset.rows((1,)), NANO.preprocess
    a, b = Pages(dataset, rows, spec, PageMix(), 1), Pages(dataset, rows[::-1], spec, PageMix(), 1)
    last = len(rows) - 1
    assert torch.equal(a[0][0], b[last][0])
    b.epoch = 1
    assert not torch.equal(a[0][0], b[last][0])


def test_a_time_shifted_record_goes_on_in_time() -> None:
    """Beats of 83 samples do not fit into 1,000: where the end is joined to the beginning, the next beat still comes
    83 samples later, and nothing jumps."""
    phase = np.arange(1000) % 83
    beat = np.exp(-0.5 * ((phase - 30) / 3) ** 2) + 0.3 * np.exp(-0.5 * ((phase - 55) / 8) ** 2)
    signal = np.outer([1.0, -0.4], beat).astype(np.float32)
    rng = np.random.default_rng(0)
    begun = []
    for _ in range(20):
        again = time_shifted(signal, rng)
        assert (again.shape, again.dtype) == (signal.shape, np.float32)
        peaks = np.flatnonzero(again[0] > 0.99)
        assert set(np.diff(peaks)) == {83}
        assert np.abs(np.diff(again)).max() <= np.abs(np.diff(signal)).max() * 1.01
        begun.append(int(peaks[0]))
    assert len(set(begun)) > 10


def test_pages_of_another_epoch_begin_at_another_beat(dataset: DatasetCache, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []

    def keep(record, rng):
        drawn.append(record.signal)
        return varied_page(record, rng)

    monkeypatch.setattr("distill.pages.varied_page", keep)
    pages = Pages(dataset, dataset.rows((1,)), NANO.preprocess, PageMix(negative=0), 1)
    first, again = pages[0][0], pages[0][0]
    pages.epoch = 1
    pages[0]
    assert torch.equal(first, again)
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], dataset.record(int(pages.rows[0])).signal)


def test_negatives_are_marked_and_seeded(dataset: DatasetCache) -> None:
    pages = Pages(dataset, dataset.rows((1,)), NANO.preprocess, PageMix(negative=1.0), 1)
    pixels, row, is_ecg = pages[0]
    assert (row, is_ecg) == (-1, False)
    assert torch.equal(pixels, pages[0][0])
    drawn = [not_an_ecg(np.random.default_rng(k), 96, 64) for k in range(20)]
    assert {image.shape for image in drawn} == {(64, 96, 3)}
    assert len({image.tobytes() for image in drawn}) == 20
