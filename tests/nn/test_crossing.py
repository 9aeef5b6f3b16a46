"""Attention across modalities against loops over single tokens, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from crossbit.nn.crossing import blocks, cosines_without_gradient, own_looks, packed
from nn.plain_crossing import affinity, cosine_of_seen, looks, see


def toys(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    a, b = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(2, 6, 5, dtype=torch.float64)
    mask_a = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    mask_b = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]).bool()
    return a, b, mask_a, mask_b


def by_loops(a: Tensor, b: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Give weights and cosines of one pair without padding, as the equations of the paper read."""
    count_a, count_b = len(a), len(b)
    s = [[max(float(a[i] @ b[j]), 0.1 * float(a[i] @ b[j])) for j in range(count_b)] for i in range(count_a)]
    for j in range(count_b):
        norm = math.sqrt(sum(s[i][j] ** 2 for i in range(count_a)))
        for i in range(count_a):
            s[i][j] /= norm
    weights, cosines = torch.zeros(count_a, count_b, dtype=torch.float64), torch.zeros(count_a, dtype=torch.float64)
    for i in range(count_a):
        exp = [math.exp(temperature * s[i][j]) for j in range(count_b)]
        for j in range(count_b):
            weights[i, j] = exp[j] / sum(exp)
        seen = sum(weights[i, j] * b[j] for j in range(count_b))
        cosines[i] = a[i] @ seen / (a[i].norm() * seen.norm())
    return weights, cosines


def test_all_pairs_at_once_are_the_loops() -> None:
    a, b, mask_a, mask_b = toys()
    scores = affinity(a, b)
    weights = looks(scores, mask_a, mask_b, 9.0)
    cosines = cosine_of_seen(scores, weights, a.norm(dim=2), b)
    for i in range(3):
        for j in range(2):
            real_a, real_b = int(mask_a[i].sum()), int(mask_b[j].sum())
            expected = by_loops(a[i, :real_a], b[j, :real_b], 9.0)
            torch.testing.assert_close(weights[i, j, :real_a, :real_b], expected[0], rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(cosines[i, j, :real_a], expected[1], rtol=1e-9, atol=1e-9)


def test_two_by_three_by_hand() -> None:
    # one word asks two regions; each region is normalised over the words (there is one), so both affinities become +-1 or 0
    a = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    b = torch.tensor([[[2.0, 1.0], [-3.0, 1.0], [0.0, 1.0]]], dtype=torch.float64)
    real = torch.ones(1, 1, dtype=torch.bool)
    weights = looks(affinity(a, b), real, torch.ones(1, 3, dtype=torch.bool), math.log(4.0))
    # softmax of (1, -1, 0) at inverse temperature log 4: 4, 1/4, 1 over 5.25
    torch.testing.assert_close(weights[0, 0, 0], torch.tensor([4.0, 0.25, 1.0], dtype=torch.float64) / 5.25)


def test_gradients() -> None:
    a, b, mask_a, mask_b = toys()

    def run(x: Tensor, y: Tensor) -> Tensor:
        scores = affinity(x, y)
        return cosine_of_seen(scores, looks(scores, mask_a, mask_b, 4.0), x.norm(dim=2), y) * mask_a[:, None]

    assert torch.autograd.gradcheck(run, (a.requires_grad_(), b.requires_grad_()))


@pytest.mark.parametrize("axis", ["a", "b"])
def test_padding_and_order_change_nothing(axis: str) -> None:
    a, b, mask_a, mask_b = toys()
    scores = affinity(a, b)
    cosines = cosine_of_seen(scores, looks(scores, mask_a, mask_b, 9.0), a.norm(dim=2), b) * mask_a[:, None]
    order = torch.tensor([2, 0, 1, 3, 4, 5])
    if axis == "a":
        a, mask_a = torch.cat([a, 9 * torch.ones_like(a)], 1), torch.cat([mask_a, torch.zeros_like(mask_a)], 1)
    else:
        b, mask_b = b[:, order], mask_b[:, order]
        b, mask_b = torch.cat([b, 9 * torch.ones_like(b)], 1), torch.cat([mask_b, torch.zeros_like(mask_b)], 1)
    scores = affinity(a, b)
    again = cosine_of_seen(scores, looks(scores, mask_a, mask_b, 9.0), a.norm(dim=2), b) * mask_a[:, None]
    torch.testing.assert_close(again[:, :, :4], cosines)


def test_what_is_seen_is_the_weighted_sum() -> None:
    a, b, mask_a, mask_b = toys()
    weights = looks(affinity(a, b), mask_a, mask_b, 9.0)
    torch.testing.assert_close(see(weights, b), torch.einsum("xyal,yld->xyad", weights, b))


def test_own_weights_are_the_diagonal_of_all_pairs() -> None:
    a, b, mask_a, mask_b = toys()
    b, mask_b = torch.cat([b, b[:1] + 1]), torch.cat([mask_b, mask_b[1:]])
    every = looks(affinity(a, b), mask_a, mask_b, 9.0)
    rows = torch.arange(3)
    torch.testing.assert_close(own_looks(a, mask_a, b, mask_b, 9.0), every[rows, rows])


@pytest.mark.parametrize(
    ("first", "second", "cost", "most"), [(5, 7, 3, 20), (1, 9, 100, 10), (4, 4, 1, 1000), (0, 3, 1, 9)]
)
def test_blocks_cover_every_pair_once_and_stay_small(first: int, second: int, cost: int, most: int) -> None:
    seen = torch.zeros(first, second)
    for rows, columns in blocks(first, second, cost, most):
        part = seen[rows, columns]
        assert part.numel() * cost <= max(most, cost)
        seen[rows, columns] += 1
    assert bool((seen == 1).all())


@pytest.mark.parametrize("whole", [True, False])
def test_the_fast_way_gives_the_same(whole: bool) -> None:
    a, b, mask_a, mask_b = toys()
    if whole:
        mask_a, mask_b = torch.ones_like(mask_a), torch.ones_like(mask_b)
    scores = affinity(a, b)
    expected = cosine_of_seen(scores, looks(scores, mask_a, mask_b, 9.0), a.norm(dim=2), b)
    found = cosines_without_gradient(a, mask_a, b, mask_b, b @ b.transpose(1, 2), 9.0)
    real = mask_a[:, None].expand_as(expected)
    torch.testing.assert_close(found[real], expected[real], rtol=1e-9, atol=1e-9)


def test_packed_rows_have_their_real_tokens_first_and_no_more_than_the_longest_has() -> None:
    mask = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 1]]).bool()
    assert packed(mask)[:, :1].tolist() == [[0], [3]]
    assert packed(mask)[0].tolist() == [0, 2]
    assert packed(torch.zeros(2, 3, dtype=torch.bool)).shape == (2, 1)
