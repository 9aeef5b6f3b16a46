"""Evidence: what a method in eval mode thinks of every training pair; strategies decide on it whom to believe."""

from __future__ import annotations

import numpy as np
import torch

from crossbit.data.loader import Pairs
from crossbit.methods.base import Method, similarity
from crossbit.nn.losses import NEVER
from crossbit.strategies.base import PairEvidence


@torch.no_grad()
def evidence(method: Method, pairs: Pairs, batch_size: int, inverse_temperature: float = 20.0) -> PairEvidence:
    """Say of every pair what the method in eval mode thinks of it, over fixed batches."""
    method.eval()
    size = len(pairs)
    loss, forward, backward = (np.zeros(size, np.float32) for _ in range(3))
    order = np.random.default_rng(0).permutation(size)
    for start in range(0, size, batch_size):
        rows = order[start : start + batch_size]
        batch = pairs.batch(rows, tokens=method.reads_tokens)
        scores = similarity(method, (batch[pairs.view],), (batch["text"],)).float()
        negatives = ~batch.positives()
        others = batch.positives() & ~torch.eye(len(rows), dtype=torch.bool)  # of one concept: no rivals of the pair
        logits = (scores * inverse_temperature).masked_fill(others, NEVER)
        diagonal = torch.arange(len(rows))
        forward[rows] = logits.softmax(1)[diagonal, diagonal].numpy()
        backward[rows] = logits.softmax(0)[diagonal, diagonal].numpy()
        violation = (0.2 + scores - scores.diagonal()[:, None]).clamp(min=0)
        violation_back = (0.2 + scores.T - scores.diagonal()[:, None]).clamp(min=0)
        count = negatives.sum(1).clamp(min=1)
        loss[rows] = (((violation + violation_back) * negatives).sum(1) / count).numpy()
    return PairEvidence(loss, forward, backward)
