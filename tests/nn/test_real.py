"""Work on real tokens alone: the same as on all, and blind to the others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from crossbit.nn import real
from crossbit.nn.real import channels_kept, kept_of, on_real, ready_of


def test_real_tokens_get_what_they_got_and_others_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, tokens = torch.nn.Linear(3, 2), torch.randn(4, 5, 3)
    monkeypatch.setattr(real, "_BLOCK", 9)
    for mask in (torch.rand(4, 5) > 0.4, torch.ones(4, 5, dtype=torch.bool), torch.zeros(4, 5, dtype=torch.bool)):
        found = on_real(lambda x, rows: x * rows[:, None], layer, tokens, mask)
        torch.testing.assert_close(found, layer(tokens * torch.arange(4)[:, None, None]) * mask[..., None])


def test_gradients_reach_the_layer_and_the_tokens_that_are_real() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    weight = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    for learned in (False, True):
        tokens = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=learned)

        def run(x: Tensor, w: Tensor) -> Tensor:
            return on_real(lambda flat, _: flat * 2, lambda flat: (flat @ w).tanh(), x, mask)

        assert torch.autograd.gradcheck(run, (tokens, weight))


def test_tokens_of_a_row_lose_the_same_channels() -> None:
    torch.manual_seed(0)
    kept = channels_kept(torch.randn(2, 3, 64), 0.5)
    ready = ready_of(torch.nn.Identity(), kept)
    left = ready(torch.ones(5, 64), torch.tensor([0, 0, 1, 1, 1]))
    assert torch.equal(left[0], left[1])
    assert torch.equal(left[2], left[4])
    assert not torch.equal(left[1], left[2])
    assert set(left.unique().tolist()) == {0.0, 2.0}
    assert kept is not None
    assert torch.equal(kept_of(torch.ones(2, 64), kept, 0.5), kept)


def test_pooled_vectors_of_another_width_lose_channels_of_their_own() -> None:
    torch.manual_seed(0)
    kept = channels_kept(torch.randn(2, 3, 64), 0.5)
    assert set(kept_of(torch.ones(2, 32), kept, 0.5).unique().tolist()) == {0.0, 2.0}
    assert channels_kept(torch.randn(2, 3, 64), 0.0) is None
    assert torch.equal(kept_of(torch.ones(2, 32), None, 0.0), torch.ones(2, 32))
