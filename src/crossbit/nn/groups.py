"""Groups of a batch: those that are alike together, so that few pairs are enough to hold hard negatives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def alike(similarity: Float[Tensor, "B B"], size: int) -> list[Tensor]:
    """Cut a batch into groups of `size`: the first that is left, with those of the rest that are most similar to it."""
    left, groups = torch.arange(len(similarity), device=similarity.device), []
    both = similarity + similarity.T
    while len(left):
        scores = both[left[0], left]
        scores[0] = torch.inf
        near = torch.zeros_like(left, dtype=torch.bool)
        near[scores.topk(min(size, len(left))).indices] = True
        groups.append(left[near])
        left = left[~near]
    return groups
