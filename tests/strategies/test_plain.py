from __future__ import annotations

import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.strategies.base import PairEvidence
from crossbit.strategies.plain import Plain


class Echo:
    """Gives back what it was handed."""

    def __init__(self) -> None:
        self.seen: list[tuple[Batch, Moment]] = []

    def losses(self, batch: Batch, moment: Moment) -> dict[str, torch.Tensor]:
        self.seen.append((batch, moment))
        return {"one": torch.ones(len(batch))}


def test_plain_hands_the_batch_on_untouched() -> None:
    view = Encoded("image", torch.zeros(2, 1, 3), torch.ones(2, 1, dtype=torch.bool), torch.zeros(2, 3))
    batch = Batch({"image": view}, torch.arange(2), torch.arange(2))
    method, moment = Echo(), Moment("train", 0.5)
    strategy = Plain()
    strategy.start_epoch(0, [])
    assert strategy.losses(method, batch, moment, 0)["one"].tolist() == [1.0, 1.0]
    assert method.seen == [(batch, moment)]
    assert (strategy.peers, strategy.needs_evidence) == (1, False)


def test_evidence_is_three_columns_of_one_length() -> None:
    import numpy as np
    import pytest

    from crossbit.errors import BatchError

    column = np.zeros(3, dtype=np.float32)
    assert PairEvidence(column, column, column).loss.shape == (3,)
    # with the shape hook of the tests the annotation refuses it before our own check does
    with pytest.raises((BatchError, TypeError)):
        PairEvidence(column, column[:2], column)
