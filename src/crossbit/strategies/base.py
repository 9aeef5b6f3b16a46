"""Strategy: a way to train somebody else's method, such as one that distrusts some of the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
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


@dataclass(frozen=True)
class NoSettings:
    """Settings of a strategy that has none."""


class Strategy:
    """Base of the strategies: train as the method says. A subclass writes its beliefs into the batch.

    `peers` copies of the method are trained side by side; at the start of each epoch the strategy sees one `PairEvidence`
    a peer if it `needs_evidence`. A subclass with settings sets `Config`, a frozen dataclass whose defaults work, and takes it.
    """

    Config: ClassVar[type] = NoSettings
    peers: int = 1
    needs_evidence: bool = False

    def looks(self, epoch: int) -> bool:
        """Say whether evidence is wanted at the start of this epoch; it costs a pass over all pairs."""
        return self.needs_evidence

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        """Look at the evidence; in an epoch that `looks` declines it is not called."""

    def state(self) -> dict[str, np.ndarray]:
        """Give what is remembered from epoch to epoch beyond the evidence; a checkpoint keeps it. Nothing by default."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what `state` gave."""

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        """Give the loss terms of one peer."""
        return method.losses(batch, moment)


def weighted(terms: Mapping[str, Tensor], weight: Float[Tensor, " B"] | None) -> dict[str, Tensor]:
    """Weigh the terms that belong to single pairs, so that their plain mean is the weighted mean; others stay.

    The loop takes plain means: only the strategy knows what it has written into the batch.
    """
    if weight is None:
        return dict(terms)
    scale = weight / weight.mean().clamp(min=1e-6)
    return {name: term * scale if term.ndim else term for name, term in terms.items()}


def single(method: object, view: Encoded) -> Float[Tensor, "B E"] | None:
    """Give unit rows of items alone, by embedding or relaxed code; None where the method only scores pairs.

    The class is asked, not the instance, which may own a layer of that name.
    """
    for ability in ("embed", "relax"):
        if callable(getattr(type(method), ability, None)):
            return F.normalize(getattr(method, ability)(view), dim=-1)
    return None
