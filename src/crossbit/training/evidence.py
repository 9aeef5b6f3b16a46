"""Evidence: what a method in eval mode thinks of every training pair; strategies decide on it whom to believe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from crossbit.data.loader import FeatureRows, Pairs, encoded
from crossbit.methods.base import Embeds, Method, similarity
from crossbit.nn.losses import NEVER
from crossbit.strategies.base import PairEvidence

_ROWS = 512


@torch.no_grad()
def evidence(method: Method, pairs: Pairs, batch_size: int, inverse_temperature: float = 20.0) -> PairEvidence:
    """Say of every pair what the method in eval mode thinks of it, over fixed batches."""
    method.eval()
    size = len(pairs)
    loss, forward, backward = (np.zeros(size, np.float32) for _ in range(3))
    order = np.random.default_rng(0).permutation(size)
    compare = _comparing(method, pairs)
    for start in range(0, size, batch_size):
        rows = order[start : start + batch_size]
        scores = compare(rows)
        concept = torch.from_numpy(pairs.concept_of[pairs.item_of[rows]])
        same = concept[:, None] == concept[None, :]
        others = same & ~torch.eye(len(rows), dtype=torch.bool)  # of one concept: no rivals of the pair
        logits = (scores * inverse_temperature).masked_fill(others, NEVER)
        forward[rows] = logits.softmax(1).diagonal().numpy()
        backward[rows] = logits.softmax(0).diagonal().numpy()
        own = scores.diagonal()[:, None]
        violation = (0.2 + scores - own).clamp(min=0) + (0.2 + scores.T - own).clamp(min=0)
        loss[rows] = ((violation * ~same).sum(1) / (~same).sum(1).clamp(min=1)).numpy()
    return PairEvidence(loss, forward, backward)


def _comparing(method: Method, pairs: Pairs) -> Callable[[np.ndarray], Float[Tensor, "B B"]]:
    """Give what compares the items of some pairs with their captions; an embedding is computed once an item."""
    if isinstance(method, Embeds) and issubclass(type(method), Embeds):
        items, captions = (_embedded(method, features) for features in (pairs.items, pairs.captions))
        return lambda rows: items[pairs.item_of[rows]] @ captions[rows].T

    def scored(rows: np.ndarray) -> Tensor:
        batch = pairs.batch(rows, tokens=method.reads_tokens)
        return similarity(method, (batch[pairs.view],), (batch["text"],)).float()

    return scored


def _embedded(method: Method, features: FeatureRows) -> Float[Tensor, "N E"]:
    assert isinstance(method, Embeds)
    parts = []
    for start in range(0, len(features), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(features)))
        parts.append(method.embed(encoded(features, rows, tokens=method.reads_tokens)).float())
    return torch.cat(parts)
