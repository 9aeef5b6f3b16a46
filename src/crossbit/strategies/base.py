"""Strategy: a way to train somebody else's method, such as one that distrusts some of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from crossbit.batch import Batch, Moment
from crossbit.errors import BatchError


@dataclass(frozen=True)
class PairEvidence:
    """Hold what a method in eval mode says of every training pair, computed over fixed batches.

    Args:
        loss: hinge of the pair against its batch, mean of the negatives.
        forward: softmax probability (temperature 0.05) that the item finds its own caption in the batch.
        backward: the same from caption to item.
    """

    loss: Float32[np.ndarray, " N"]
    forward: Float32[np.ndarray, " N"]
    backward: Float32[np.ndarray, " N"]

    def __post_init__(self) -> None:
        if not (self.loss.shape == self.forward.shape == self.backward.shape and self.loss.ndim == 1):
            raise BatchError(
                f"PairEvidence: shapes {self.loss.shape}, {self.forward.shape}, {self.backward.shape}, expected three (N,)"
            )


@runtime_checkable
class Learner(Protocol):
    """A method as a strategy sees it: something with losses. The two rooms share a floor and do not import each other."""

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the loss terms by name."""
        ...


class Strategy:
    """Base of the strategies: train as the method says. A subclass writes its beliefs into the batch.

    `peers` copies of the method are trained side by side; at the start of each epoch the strategy sees one `PairEvidence`
    a peer if it `needs_evidence`.
    """

    peers: int = 1
    needs_evidence: bool = False

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        """Look at the evidence; `evidence` is empty where it is not needed."""

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        """Give the loss terms of one peer."""
        return method.losses(batch, moment)
