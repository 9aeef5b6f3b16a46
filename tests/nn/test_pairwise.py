"""Steps over pairs with gradients written out, against the plain functions and against finite differences, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossbit.nn.pairwise import gram_of, graph_step, pair_affinity, pair_cosines, pair_looks, pair_nodes
from nn.plain_crossing import affinity, cosine_of_seen, looks, see


def toys() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    a, b = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(2, 6, 5, dtype=torch.float64)
    mask_a = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    mask_b = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]).bool()
    return a.requires_grad_(), b.requires_grad_(), mask_a, mask_b


@pytest.mark.parametrize("temperature", [9.0, 100.0])
def test_they_give_what_the_plain_functions_give(temperature: float) -> None:
    a, b, mask_a, mask_b = toys()
    plain = affinity(a, b)
    weights = looks(plain, mask_a, mask_b, temperature)
    scores = pair_affinity(a, b)
    torch.testing.assert_close(scores, plain.transpose(0, 1))
    found = pair_looks(scores, mask_a, mask_b, temperature)
    torch.testing.assert_close(found, weights.transpose(0, 1))
    real = mask_a[None].to(a)
    expected = cosine_of_seen(plain, weights, a.norm(dim=2), b).transpose(0, 1)
    torch.testing.assert_close(pair_cosines(scores, found, a.norm(dim=2), gram_of(b)) * real, expected * real)


def test_nodes_are_the_formula() -> None:
    a, b, mask_a, mask_b = toys()
    matrix, bias = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    weights = looks(affinity(a, b), mask_a, mask_b, 9.0)
    expected = F.normalize(F.linear((see(weights, b) - a[:, None]).square(), matrix, bias), dim=-1)
    found = pair_nodes(weights.transpose(0, 1).contiguous(), a, b, matrix, bias)
    torch.testing.assert_close(found, expected.transpose(0, 1))


def test_gradients_of_looks_and_cosines() -> None:
    a, b, mask_a, mask_b = toys()

    def run(x: Tensor, y: Tensor) -> Tensor:
        scores = pair_affinity(x, y)
        return pair_cosines(scores, pair_looks(scores, mask_a, mask_b, 4.0), x.norm(dim=2), gram_of(y)) * mask_a[None]

    assert torch.autograd.gradcheck(run, (a, b))


def test_gradients_of_nodes() -> None:
    a, b, mask_a, mask_b = toys()
    matrix = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, y: Tensor, w: Tensor, c: Tensor) -> Tensor:
        return pair_nodes(pair_looks(pair_affinity(x, y), mask_a, mask_b, 4.0), x, y, w, c)

    assert torch.autograd.gradcheck(run, (a, b, matrix, bias))


def test_a_row_without_any_real_token_gives_numbers_and_gradients_that_are_none() -> None:
    a, b, mask_a, mask_b = toys()
    mask_a[2], mask_b[1] = False, False
    scores = pair_affinity(a, b)
    weights = pair_looks(scores, mask_a, mask_b, 9.0)
    assert float(weights[1].detach().abs().sum()) == 0
    pair_cosines(scores, weights, a.norm(dim=2), gram_of(b)).sum().backward()
    assert bool(torch.isfinite(a.grad).all() and torch.isfinite(b.grad).all())  # type: ignore[arg-type]


def test_a_step_of_the_graph_is_the_formula_and_its_gradient() -> None:
    torch.manual_seed(1)
    nodes = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    both, bias = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((5, 5), (5,)))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False], [False, False, False, False]])
    mask = mask.expand(2, 3, 4)
    edges = ((nodes @ both + bias) @ nodes.transpose(-1, -2)).masked_fill(~mask[:, :, None], -1e4)
    torch.testing.assert_close(graph_step(nodes, mask, both, bias)[:, :2], (edges.softmax(-1) @ nodes + nodes)[:, :2])
    assert torch.autograd.gradcheck(lambda s, m, c: graph_step(s, mask, m, c)[:, :2], (nodes, both, bias))


def test_under_autocast_attention_stays_wide_and_products_come_close() -> None:
    a, b, mask_a, mask_b = (x.detach().float() if x.is_floating_point() else x for x in toys())
    matrix, bias = torch.randn(3, 5), torch.randn(3)
    scores = pair_affinity(a, b)
    weights = pair_looks(scores, mask_a, mask_b, 9.0)
    nodes = pair_nodes(weights, a, b, matrix, bias)
    moved = graph_step(nodes, mask_a.expand(2, 3, 4), torch.eye(3), torch.zeros(3))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(pair_affinity(a, b), scores, rtol=0.02, atol=0.02)
        assert torch.equal(pair_looks(scores, mask_a, mask_b, 9.0), weights)
        half = pair_nodes(weights, a, b, matrix, bias)
        found = graph_step(half, mask_a.expand(2, 3, 4), torch.eye(3), torch.zeros(3))
    assert half.dtype == found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), moved, rtol=0.05, atol=0.05)
