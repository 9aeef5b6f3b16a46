"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from crossbit.nn.losses import (
    bit_balance,
    hinge,
    imitation,
    info_nce,
    inverse_temperature,
    quantisation,
    ramp,
    soft_margin,
    top_k_hinge,
)

# rows are items, columns captions
SIMILARITY = torch.tensor([[0.9, 0.8, 0.1], [0.3, 0.5, 0.6], [0.0, 0.4, 0.7]])
OWN = torch.eye(3, dtype=torch.bool)


def test_hinge_with_the_hardest_negative_by_hand() -> None:
    # item to text: 0.2 + max(0.8, 0.1) - 0.9 = 0.1; 0.2 + 0.6 - 0.5 = 0.3; 0.2 + 0.4 - 0.7 < 0 -> 0
    # text to item: 0.2 + max(0.3, 0.0) - 0.9 < 0 -> 0; 0.2 + 0.8 - 0.5 = 0.5; 0.2 + 0.6 - 0.7 = 0.1
    assert torch.allclose(hinge(SIMILARITY, OWN), torch.tensor([0.1, 0.8, 0.1]))


def test_hinge_with_the_mean_of_the_negatives_by_hand() -> None:
    # item to text, sums: 0.1; 0 + 0.3; 0.  text to item: 0; 0.5 + 0.1; 0 + 0.1.  two negatives each
    assert torch.allclose(hinge(SIMILARITY, OWN, hardest=False), torch.tensor([0.05, 0.45, 0.05]))


def test_another_row_of_the_same_item_is_no_negative() -> None:
    together = OWN.clone()
    together[0, 1] = together[1, 0] = True
    # without the pair (0, 1): row 0 -> 0, row 1 -> 0.3 + max(0.2 + 0.4 - 0.5) = 0.3 + 0.1
    assert torch.allclose(hinge(SIMILARITY, together), torch.tensor([0.0, 0.4, 0.1]))


def test_collapse_costs_exactly_two_margins() -> None:
    assert torch.allclose(hinge(torch.full((4, 4), 0.7), torch.eye(4, dtype=torch.bool)), torch.full((4,), 0.4))


def test_info_nce_is_cross_entropy() -> None:
    target = torch.arange(3)
    logits = SIMILARITY * 10
    expected = 0.5 * (
        torch.nn.functional.cross_entropy(logits, target, reduction="none")
        + torch.nn.functional.cross_entropy(logits.T, target, reduction="none")
    )
    assert torch.allclose(info_nce(SIMILARITY, OWN, 10.0), expected)


def test_info_nce_leaves_other_positives_out() -> None:
    together = OWN.clone()
    together[0, 2] = together[2, 0] = True
    row0 = math.log(math.exp(9) + math.exp(8)) - 9
    column0 = math.log(math.exp(9) + math.exp(3)) - 9
    assert info_nce(SIMILARITY, together, 10.0)[0].item() == pytest.approx((row0 + column0) / 2, rel=1e-5)


@pytest.mark.parametrize(("belief", "margin"), [(0.0, 0.0), (0.5, 0.0480), (1.0, 0.2)])
def test_soft_margin(belief: float, margin: float) -> None:
    assert soft_margin(0.2, torch.tensor([belief])).item() == pytest.approx(margin, abs=1e-4)


def test_quantisation_and_balance_by_hand() -> None:
    relaxed = torch.tensor([[1.0, -0.5], [0.0, -1.0]])
    # distances to the sign: 0 and 0.25 -> 0.125; zero counts as +1: 1 and 0 -> 0.5
    assert torch.allclose(quantisation(relaxed), torch.tensor([0.125, 0.5]))
    assert bit_balance(relaxed).item() == pytest.approx((0.5**2 + 0.75**2) / 2)


def test_imitation_is_the_divergence_from_the_teacher_both_ways() -> None:
    taught = torch.log(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))
    even = torch.zeros(2, 2)
    # rows: (3/4, 1/4) against (1/2, 1/2) and (1/2, 1/2) against itself; columns: the same numbers; means over two
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert imitation(even, taught).item() == pytest.approx(first / 2 + first / 2)
    assert imitation(taught, taught).item() == pytest.approx(0.0, abs=1e-6)


def test_gradient_reaches_both_sides() -> None:
    similarity = SIMILARITY.clone().double().requires_grad_()

    def loss(s: Tensor) -> Tensor:
        return hinge(s, OWN, 0.21, hardest=False).sum() + info_nce(s, OWN, 5.0).sum()

    assert torch.autograd.gradcheck(loss, (similarity,))


def test_ramp_and_temperature_stay_in_bounds() -> None:
    assert [ramp(p, 0.5) for p in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp(0.3, 0.0) == 1.0
    assert inverse_temperature(torch.tensor(99.0)).item() == pytest.approx(100.0, rel=1e-5)
    assert inverse_temperature(torch.tensor(-9.0)).item() == 1.0


def test_the_k_hardest_negatives_by_hand() -> None:
    # violations item to text: row 0: 0.1, 0; row 1: 0, 0.3; row 2: 0, 0. Two of them among three items: k = 0 + 1
    assert torch.allclose(top_k_hinge(SIMILARITY, OWN), hinge(SIMILARITY, OWN))
    # with a margin of 1: row 0: 0.9, 0.2; row 1: 0.8, 1.1; row 2: 0.3, 0.7: six among three, so k = 3, and all are added;
    # text to item: column 0: 0.4, 0.1; column 1: 1.3, 0.9; column 2: 0.4, 0.9
    expected = torch.tensor([1.1 + 0.5, 1.9 + 2.2, 1.0 + 1.3])
    assert torch.allclose(top_k_hinge(SIMILARITY, OWN, 1.0), expected)
    together = torch.ones(3, 3, dtype=torch.bool)
    assert torch.equal(top_k_hinge(SIMILARITY, together), torch.zeros(3))


def test_k_is_counted_from_items_to_texts_and_used_both_ways() -> None:
    # item to text violates once in three rows (k = 1), text to item twice in one column: the harder one alone counts
    similarity = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.9, 0.0], [0.4, 0.0, 0.9]])
    assert top_k_hinge(similarity, OWN).tolist() == pytest.approx([0.2, 0.0, 0.0])
