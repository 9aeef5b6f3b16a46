"""Small loss: the share that is left out is the known rate, and grows to it."""

from __future__ import annotations

import numpy as np
import pytest

from crossbit.batch import Moment
from crossbit.strategies.small_loss import SmallLoss, SmallLossConfig
from strategies.toys import COUNT, Noting, batch, evidence


@pytest.mark.parametrize(("epoch", "left_out"), [(0, 0), (2, 40), (4, 80), (5, 100), (50, 100)])
def test_the_share_that_is_left_out(epoch: int, left_out: int) -> None:
    strategy, seen = SmallLoss(SmallLossConfig(rate=0.25)), evidence()
    strategy.start_epoch(epoch, [seen])
    kept = strategy._kept
    assert kept is not None
    assert np.count_nonzero(kept == 0) == left_out
    if left_out:
        assert seen.loss[kept == 0].min() >= seen.loss[kept == 1].max()
        assert len(kept) == COUNT


def test_what_is_left_out_weighs_nothing() -> None:
    strategy, method = SmallLoss(SmallLossConfig(rate=0.25)), Noting()
    strategy.start_epoch(9, [evidence()])
    terms = strategy.losses(method, batch([0, 1, 300, 301]), Moment(), 0)
    assert terms["own"].tolist() == [0.0, 0.0, 2.0, 2.0]
