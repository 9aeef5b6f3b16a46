"""Hash heads: sharpened codes stay finite, whatever the precision of training."""

from __future__ import annotations

import math

import pytest
import torch

from crossbit.nn.hashing import HashHead, HashNetwork


@pytest.mark.parametrize("half", [False, True])
def test_a_sharpened_code_that_is_sure_of_its_bits_has_a_finite_gradient(half: bool) -> None:
    """In bf16 the number below 1 is 0.996, so a clamp to 1 - 1e-6 does not keep a saturated tanh from 1."""
    torch.manual_seed(0)
    network = HashNetwork(8, 16, 4, balance=False)
    with torch.no_grad():
        network.head.project.weight.mul_(1000)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        code = network(torch.randn(12, 8), math.sqrt(3))
    code.float().square().sum().backward()
    assert torch.isfinite(code).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_sharpness_multiplies_what_the_tanh_sees() -> None:
    torch.manual_seed(0)
    head = HashHead(8, 4, balance=False)
    rows = torch.randn(5, 8)
    torch.testing.assert_close(head(rows, 2.0), torch.tanh(2.0 * head.project(rows)))
    torch.testing.assert_close(head(rows, 1.0), head(rows))
