"""Training pages: functions of seed, epoch and record; begun at any beat; some of them no ECG at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.negatives import curves, not_an_ecg, papers, scenes, screens, textures
from distill.pages import TURNED, PageMix, Pages, Shown, _part
from distill.students.nano import STUDENT as NANO
from distill.time_shift import time_shifted
from pulse.ecg.paper.variety import varied_page
from pulse.ecg.photo.flattened import flattened


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

    def keep(record, rng, pale):
        drawn.append(record.signal)
        return varied_page(record, rng, pale=pale)

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
    pixels, row, shown = pages[0]
    assert (row, shown) == (-1, Shown.OTHER)
    assert torch.equal(pixels, pages[0][0])
    drawn = [not_an_ecg(np.random.default_rng(k), 272, 192) for k in range(60)]
    assert {image.shape[2] for image in drawn} == {3}
    assert len({image.tobytes() for image in drawn}) == 60


@pytest.mark.parametrize("draw", [*curves.KINDS, *papers.KINDS, *scenes.KINDS, *screens.KINDS, *textures.KINDS])
def test_every_kind_of_negative_is_a_picture_of_its_size(draw) -> None:
    for seed in range(4):
        image = draw(np.random.default_rng(seed), 136, 96)
        assert (image.shape, image.dtype) == ((96, 136, 3), np.uint8)
        assert image.std() > 0.5


def test_turned_pages_lie_as_they_are_said_to(dataset: DatasetCache) -> None:
    pages = Pages(dataset, dataset.rows((1,)), NANO.preprocess, None)
    seen = set()
    for seed in range(12):
        upright, _ = pages._varied(0, np.random.default_rng(seed), PageMix(0, 0, 0, 0.3, 0.3))
        turned, shown = pages._varied(0, np.random.default_rng(seed), PageMix(0, 1.0, 0, 0.3, 0.3))
        assert shown in TURNED
        np.testing.assert_array_equal(turned, np.rot90(upright, int(shown)))  # to the left
        seen.add(shown)
    assert seen == set(TURNED)


def test_a_part_of_a_page_is_smaller_than_the_page(dataset: DatasetCache) -> None:
    rng = np.random.default_rng(2)
    page = np.zeros((384, 544, 3), np.uint8)
    for _ in range(20):
        part = _part(page, rng)
        assert part.shape[0] * part.shape[1] < 0.66 * 384 * 544
    pages = Pages(dataset, dataset.rows((1,)), NANO.preprocess, PageMix(0, 0, 1.0, 0, 0), 1)
    assert pages[0][2] == Shown.PART


def test_what_is_left_of_a_flattened_photograph_is_ink_on_white(dataset: DatasetCache) -> None:
    """Mostly white, of the page's size, and the generator's alone."""
    record = dataset.record(0)
    for seed in range(8):
        page = varied_page(record, seed, family="plain", pale=True).image
        flat = flattened(page, np.random.default_rng(seed))
        assert (flat.shape, flat.dtype) == (page.shape, np.uint8)
        np.testing.assert_array_equal(flat, flattened(page, np.random.default_rng(seed)))
        assert np.median(flat) > 225
