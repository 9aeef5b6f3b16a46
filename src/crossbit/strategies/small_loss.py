"""`small_loss`: train on the share of the pairs whose loss is smallest, the share of wrong ones being known.

The oldest protection, as in Co-teaching (Han and others, NeurIPS 2018) with one copy: the share that is left out grows over the
first epochs to the known rate. Nobody knows the rate of data from the world; it is a baseline for planted noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from crossbit.batch import Batch, Moment
from crossbit.strategies.base import Learner, PairEvidence, Strategy, weighted


@dataclass(frozen=True)
class SmallLossConfig:
    """Settings of the strategy.

    Args:
        rate: share of wrong pairs, known beforehand.
        ramp: epochs over which the share that is left out grows from nothing to `rate`.
    """

    rate: float = 0.4
    ramp: int = 5


class SmallLoss(Strategy):
    """Leave out the pairs with the largest losses."""

    Config = SmallLossConfig
    needs_evidence = True

    def __init__(self, config: SmallLossConfig | None = None) -> None:
        self.config = config or SmallLossConfig()
        self._kept: Float32[np.ndarray, " N"] | None = None

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        """Keep the pairs with the smallest losses; the first epoch keeps all, for nothing is learnt yet."""
        share = self.config.rate * min(1.0, epoch / max(1, self.config.ramp))
        loss = evidence[0].loss
        kept = np.ones(len(loss), np.float32)
        kept[np.argsort(-loss, kind="stable")[: round(share * len(loss))]] = 0
        self._kept = kept

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        """Give the method's terms, zero for pairs that are left out."""
        if self._kept is None:
            return method.losses(batch, moment)
        kept = torch.from_numpy(self._kept)[batch.pair.cpu()].to(batch.pair.device)
        return weighted(dict(method.losses(replace(batch, correspondence=kept), moment)), kept)
