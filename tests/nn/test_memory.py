"""Attention with a memory against the formula, one token at a time, in float64; its layer; padding."""

from __future__ import annotations

import math

import pytest
import torch

from crossbit.nn.memory import MemoryAttention, MemoryLayer


def made(slots: int = 2) -> MemoryAttention:
    torch.manual_seed(0)
    return MemoryAttention(4, 2, slots, 0.0).double()


@torch.no_grad()
@pytest.mark.parametrize("slots", [0, 2])
def test_each_token_sees_real_tokens_and_all_slots(slots: int) -> None:
    attention, x = made(slots), torch.randn(1, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, True, False]])
    found = attention(x, mask)[0, 0]
    heads = []
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        q, k, v = (attention.qkv(x[0])[:, 4 * n : 4 * n + 4][:, part] for n in range(3))
        keys, values = list(k[:2]), list(v[:2])
        for slot in range(slots):  # scaled by the roots of head width and number of slots
            keys.append(attention.keys[head, slot] * math.sqrt(2))
            values.append(attention.values[head, slot] * math.sqrt(slots))
        scores = [math.exp(float(q[0] @ key) / math.sqrt(2)) for key in keys]
        heads.append(sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True)))
    torch.testing.assert_close(found, attention.out(torch.cat(heads)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("slots", [0, 2])
def test_padding_changes_nothing_and_an_empty_row_is_finite(slots: int) -> None:
    torch.manual_seed(1)
    layer = MemoryLayer(4, 2, slots, 6, 0.0).double().eval()
    x, mask = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([[True, True, True], [False, False, False]])
    before = layer(x, mask)
    longer = torch.cat([x, 7 * torch.ones(2, 2, 4, dtype=torch.float64)], 1)
    after = layer(longer, torch.cat([mask, torch.zeros(2, 2, dtype=torch.bool)], 1))
    torch.testing.assert_close(after[0, :3], before[0])
    assert bool(torch.isfinite(before).all())


def test_gradients() -> None:
    attention, x = made(), torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True]])
    assert torch.autograd.gradcheck(lambda value: attention(value, mask), (x,))
