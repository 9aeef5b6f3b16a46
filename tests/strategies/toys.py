"""A method that notes what it is handed, and evidence in which some pairs look wrong."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.strategies.base import PairEvidence

COUNT = 400


class Noting:
    """Embeds pooled vectors as they are; its one term is 1 for every pair."""

    def __init__(self) -> None:
        self.seen: list[Batch] = []

    def embed(self, *views: Encoded) -> Tensor:
        return F.normalize(views[0].pooled, dim=-1)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        self.seen.append(batch)
        return {"own": torch.ones(len(batch)), "balance": torch.tensor(0.5)}


class Scoring:
    """Scores pairs jointly and embeds nothing."""

    def score(self, queries: tuple[Encoded, ...], items: tuple[Encoded, ...]) -> Tensor:
        return torch.zeros(len(queries[0]), len(items[0]))

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return {"own": torch.ones(len(batch))}


def batch(pairs: list[int]) -> Batch:
    torch.manual_seed(0)
    rows = torch.tensor(pairs)
    views = {}
    for name in ("image", "text"):
        mask = torch.ones(len(pairs), 3, dtype=torch.bool)
        views[name] = Encoded(name, torch.randn(len(pairs), 3, 4), mask, torch.randn(len(pairs), 6))  # type: ignore[arg-type]
    return Batch(views, rows, rows)


def evidence(wrong: slice = slice(0, 100), seed: int = 0) -> PairEvidence:
    """Give evidence in which the pairs of `wrong` have a low probability and a high loss."""
    draw = np.random.default_rng(seed)
    belief = draw.beta(8, 2, COUNT)
    belief[wrong] = draw.beta(1, 12, len(range(COUNT)[wrong]))
    return PairEvidence((1 - belief).astype(np.float32), belief.astype(np.float32), belief.astype(np.float32))
