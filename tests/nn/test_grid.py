"""Averaging a grid: shares of area by hand, and which token sets are a grid."""

from __future__ import annotations

import torch

from crossbit.batch import Encoded
from crossbit.nn.grid import cells, coarser, grid_side, on_all_cells, spread


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


def test_four_by_four_become_the_means_of_their_quarters() -> None:
    tokens, mask = torch.arange(32.0).reshape(1, 16, 2), torch.ones(1, 16, dtype=torch.bool)
    picture = Encoded("image", tokens, mask, tokens.mean(1))
    found, real = coarser(picture, 2).tokens, coarser(picture, 2).mask
    square = tokens.reshape(4, 4, 2)
    by_hand = [square[r : r + 2, c : c + 2].mean((0, 1)) for r in (0, 2) for c in (0, 2)]
    torch.testing.assert_close(found[0], torch.stack(by_hand))
    assert real.shape == (1, 4)
    assert real.all()
    for fewer in (0, 4, 5):
        assert coarser(picture, fewer).tokens is tokens
    assert coarser(Encoded("image", tokens[:, :15], mask[:, :15], tokens.mean(1)), 2).tokens.shape == (1, 15, 2)
    assert coarser(Encoded("text", tokens, mask, tokens.mean(1)), 2).tokens is tokens


def test_looks_of_fewer_cells_on_all_cells_by_hand() -> None:
    coarse = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]) / 1.5  # three cells, the middle one part of both
    looks = torch.tensor([[[0.9], [0.3]]])
    torch.testing.assert_close(on_all_cells(looks, coarse, None), torch.tensor([[[0.9], [0.6], [0.3]]]))
    back = torch.tensor([[[0.6, 0.4]]])
    torch.testing.assert_close(on_all_cells(back, None, coarse), torch.tensor([[[0.4, 1 / 3, 4 / 15]]]))
    assert on_all_cells(looks, None, None) is looks
    picture = Encoded("image", torch.zeros(1, 9, 2), torch.ones(1, 9, dtype=torch.bool), torch.zeros(1, 2))
    assert spread(picture, 3) is None
    assert spread(picture, 0) is None
