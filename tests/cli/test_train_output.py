"""What training says of the bits of a code."""

from __future__ import annotations

import torch

from crossbit.cli.train import describe_bits
from crossbit.training.track import bits_report


def test_dead_bits_are_named() -> None:
    codes = torch.ones(40, 4)
    codes[::2, 1] = -1  # balanced
    codes[::4, 2] = -1  # three quarters are +1: half a bit away from balance
    codes[1::2, 3] = -1  # balanced, the opposite of bit 1
    said = describe_bits(bits_report(codes))
    # |means| are 1, 0, .5, 0; of the six pairs of bits only the three without the dead one correlate
    assert said.startswith("bits: 1 dead (0), mean 0.38 from balance, correlation ")
    assert said.endswith("mean value 1.00 of 1 before rounding")


def test_a_healthy_code_has_none_and_many_are_cut_short() -> None:
    draw = torch.Generator().manual_seed(0)
    assert describe_bits(bits_report(torch.randn(400, 8, generator=draw))).startswith("bits: none dead, ")
    assert "12 dead (0, 1, 2, 3, 4, 5, 6, 7 and 4 more)" in describe_bits(bits_report(torch.ones(10, 12)))
