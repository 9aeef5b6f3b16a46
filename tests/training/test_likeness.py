"""Likeness on rows that lie on a circle, where what is nearer can be counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbit.data.loader import Pairs, RowsInMemory
from crossbit.features import Features
from crossbit.training.likeness import has_part

COUNT = 40


def circle(modality: Any) -> RowsInMemory:
    angle = 2 * np.pi * np.arange(COUNT) / COUNT
    pooled = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    return RowsInMemory(Features(modality, pooled[:, None], np.ones((COUNT, 1), bool), pooled))


def test_a_near_caption_or_picture_is_something_in_common() -> None:
    number = np.arange(COUNT)
    pairs = Pairs(circle("image"), circle("text"), number, number, [""] * COUNT, ["en"] * COUNT)
    rows = np.zeros(6, np.int64)
    # where the better row is d steps from row 0, 2 d - 1 of the 40 rows are nearer to it than row 0 is: 1, 3 and 5 for 1, 2, 3
    caption = np.array([1, 2, 3, 20, -1, -1])
    item = np.array([20, -1, 20, 2, 20, -1])
    assert has_part(pairs, rows, caption, item).tolist() == [True, True, False, True, False, False]
