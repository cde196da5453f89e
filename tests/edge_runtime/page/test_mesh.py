"""A flat sheet's mesh is that of its plane, any other stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.page.mesh import Mesh

ROWS, COLUMNS = 40, 56


def seen(bend=0.0, noise=0.0):
    """A sheet from the side: pixels under its squares' corners, bent by so many squares, and off by chance."""
    u, v = np.meshgrid(np.arange(COLUMNS + 1.0), np.arange(ROWS + 1.0))
    v = v + bend * np.sin(np.pi * u / COLUMNS)
    off = np.random.default_rng(0).normal(0, noise, (2, *u.shape))
    depth = 1 + 0.002 * u + 0.001 * v
    return np.stack([(40 * u + 2 * v) / depth + 40 * off[0] + 100, (41 * v - 3 * u) / depth + 40 * off[1] + 200], -1)


def test_noise_of_a_flat_sheet_is_taken_out():
    noisy, sure = Mesh(seen(noise=0.008)), np.full((ROWS, COLUMNS), 0.9)
    miss = np.abs(noisy.straightened(sure).at - seen())
    assert miss.max() < 0.25 * np.abs(noisy.at - seen()).max()


@pytest.mark.parametrize("bend", [0.1, 1.0])
def test_a_bent_sheet_stays_as_it_is(bend):
    mesh = Mesh(seen(bend))
    assert mesh.straightened(np.full((ROWS, COLUMNS), 0.9)) is mesh


def test_squares_without_a_grid_do_not_count():
    sure, at = np.full((ROWS, COLUMNS), 0.9), seen()
    sure[:8], at[:8] = -0.2, at[:8] + 30  # a likeness may be below 0
    assert np.abs(Mesh(at).straightened(sure).at - seen()).max() < 0.05


def test_a_sheet_that_goes_on_for_ever_stays_as_it_is():
    at = seen()
    at[0, 0] = np.inf
    mesh = Mesh(at)
    assert mesh.straightened(np.full((ROWS, COLUMNS), 0.9)) is mesh
