"""NCR: each copy is judged by the other, and what is judged noisy waits for the second half."""

from __future__ import annotations

import numpy as np
import torch

from crossbit.batch import Moment
from crossbit.strategies.ncr import NCR, NCRConfig
from strategies.toys import COUNT, Noting, batch, evidence


def label_of(strategy: NCR, peer: int, progress: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    method = Noting()
    terms = strategy.losses(method, batch([0, 1, 300, 301]), Moment("train", progress), peer)
    label = method.seen[0].correspondence
    assert label is not None
    return label, terms["own"]


def test_each_copy_takes_the_division_of_the_other() -> None:
    strategy = NCR(NCRConfig(warm_up=0))
    strategy.start_epoch(0, [evidence(slice(0, 100)), evidence(slice(300, 400))])
    assert (label_of(strategy, 0)[0][:2] > 0.5).all()  # the second copy doubts the end of the list
    assert (label_of(strategy, 0)[0][2:] < 0.5).all()
    assert (label_of(strategy, 1)[0][:2] < 0.5).all()
    assert (label_of(strategy, 1)[0][2:] > 0.5).all()


def test_the_noisy_part_is_trained_in_the_second_half() -> None:
    strategy = NCR(NCRConfig(warm_up=0))
    strategy.start_epoch(0, [evidence(), evidence()])
    assert label_of(strategy, 0, 0.4)[1][:2].tolist() == [0.0, 0.0]
    assert (label_of(strategy, 0, 0.6)[1][:2] > 0).all()


def test_all_are_believed_in_the_warm_up() -> None:
    strategy, method = NCR(), Noting()
    strategy.start_epoch(4, [evidence(), evidence()])
    assert strategy.losses(method, batch([0, 1]), Moment(), 0)["own"].tolist() == [1.0, 1.0]
    assert method.seen[0].correspondence is None


def test_some_are_clean_and_some_noisy_whatever_the_evidence() -> None:
    strategy = NCR(NCRConfig(warm_up=0))
    for threshold in (0.0, 1.0):
        strategy.config = NCRConfig(warm_up=0, threshold=threshold)
        strategy.start_epoch(0, [evidence(), evidence()])
        for clean in strategy._clean:
            assert COUNT // 100 <= np.count_nonzero(clean) <= COUNT - COUNT // 100
