"""Ranking refuses what is not a ranking."""

from __future__ import annotations

import numpy as np
import pytest

from crossbit.errors import EngineError
from crossbit.ranking import Ranking


def make(ids: list[list[int]], scores: list[list[float]]) -> Ranking:
    return Ranking(np.array(ids, np.int64), np.array(scores, np.float32))


def test_padding_stands_at_the_end() -> None:
    ranking = make([[4, 2, -1], [-1, -1, -1]], [[0.5, 0.5, -np.inf], [-np.inf] * 3])
    assert len(ranking) == 2
    with pytest.raises(EngineError, match="padding stands before"):
        make([[-1, 2]], [[0.5, 0.1]])


def test_scores_fall() -> None:
    with pytest.raises(EngineError, match="not sorted"):
        make([[1, 2]], [[0.1, 0.5]])
    with pytest.raises(EngineError, match="not sorted"):
        make([[1, 2]], [[0.1, np.nan]])
