"""Groups of those that are alike."""

from __future__ import annotations

import torch

from crossbit.nn.groups import alike


def test_groups_hold_those_that_are_most_alike() -> None:
    line = torch.tensor([0.0, 5.0, 0.2, 5.1, 9.0, 0.1])
    groups = alike(-(line[:, None] - line[None]).abs(), 3)
    assert [rows.tolist() for rows in groups] == [[0, 2, 5], [1, 3, 4]]
    assert [len(rows) for rows in alike(torch.zeros(7, 7), 3)] == [3, 3, 1]
