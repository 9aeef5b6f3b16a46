"""Weights of ranks: the order against torch's stable sort, sums and gradients against the plain formula."""

from __future__ import annotations

import pytest
import torch

from crossbit.nn.pooling import GPO
from crossbit.nn.ranking import by_rank, descending


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_order_is_that_of_a_stable_sort(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    values = (torch.randn(50, 37) * torch.tensor(10.0) ** torch.randint(-3, 4, (50, 37))).to(kind)
    values[:, 3], values[:, 9], values[0, 5], values[1, 6] = (
        values[:, 7],
        0.0,
        torch.finfo(kind).max,
        torch.finfo(kind).min,
    )
    found, places = descending(values)
    expected = values.sort(dim=-1, descending=True, stable=True)
    assert torch.equal(found, expected.values)
    assert torch.equal(places.long(), expected.indices)


def test_three_values_by_hand() -> None:
    tokens = torch.tensor([[[1.0, -5.0], [3.0, -6.0], [9.0, 9.0]]], requires_grad=True)
    mask, weights = torch.tensor([[True, True, False]]), torch.tensor([[0.75, 0.25, 7.0]], requires_grad=True)
    found = by_rank(tokens, mask, weights)
    assert found.tolist() == [[3 * 0.75 + 0.25, -5 * 0.75 - 6 * 0.25]]
    found[0, 0].backward()
    assert tokens.grad is not None
    assert weights.grad is not None
    assert tokens.grad.tolist() == [[[0.25, 0.0], [0.75, 0.0], [0.0, 0.0]]]
    assert weights.grad.tolist() == [[3.0, 1.0, 0.0]]


def test_gradients_and_rows_without_tokens() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False, True, True], [False] * 4, [True] * 4])
    assert torch.autograd.gradcheck(lambda x, w: by_rank(x, mask, w), (tokens, weights))
    assert by_rank(tokens, mask, weights)[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_quick_pooling_is_the_plain_one(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    plain, quick = GPO(), GPO(quick=True)
    quick.load_state_dict(plain.state_dict())
    mask = torch.arange(6)[None] < torch.tensor([6, 4, 1, 0])[:, None]
    grads = []
    for pool in (plain, quick):
        tokens = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1)).to(kind).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
            found = pool(tokens, mask)
        found.square().sum().backward()
        grads.append([found.detach(), tokens.grad.float(), *(p.grad for p in pool.parameters())])  # type: ignore[union-attr]
    near = 1e-5 if kind == torch.float32 else 0.02
    for first, second in zip(*grads, strict=True):
        torch.testing.assert_close(first, second, rtol=near, atol=near)
