"""Averaging a grid: shares of area by hand, and which token sets are a grid."""

from __future__ import annotations

import torch

from crossbit.nn.grid import cells, grid_side


def test_three_cells_become_two_by_their_areas() -> None:
    # a band of 1.5 cells holds one whole and half of the middle one: 2/3 and 1/3
    band = torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    torch.testing.assert_close(cells(3, 2), torch.kron(band, band))


def test_every_cell_counts_alike() -> None:
    found = cells(7, 3)
    torch.testing.assert_close(found.sum(1), torch.ones(9))
    torch.testing.assert_close(found.sum(0), torch.full((49,), 9 / 49))


def test_only_a_whole_square_is_a_grid() -> None:
    whole = torch.ones(2, 9, dtype=torch.bool)
    assert grid_side(whole) == 3
    assert grid_side(whole[:, :8]) == 0
    whole[1, 4] = False
    assert grid_side(whole) == 0
