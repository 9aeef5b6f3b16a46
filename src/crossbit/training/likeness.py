"""Likeness by the frozen features alone: what tells a pair that is partly wrong from one that has nothing in common."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from crossbit.data.loader import Pairs

PARTIAL = 0.1
"""A suspect is partly wrong if what would fit better is nearer to what is there than nine tenths of the data are."""

_ROWS = 512


def has_part(
    pairs: Pairs, rows: Int64[np.ndarray, " M"], caption: Int64[np.ndarray, " M"], item: Int64[np.ndarray, " M"]
) -> Bool[np.ndarray, " M"]:
    """Say which pairs have something in common, should they be wrong.

    The caption means nearly what the better caption does, or the picture looks nearly as the better picture does: by the frozen
    features alone, fewer than `PARTIAL` of all texts, or of all pictures, are nearer to the better one.

    Args:
        pairs: all of them.
        rows: caption rows, as the next two as in `Judged`.
        caption: the caption row that fits better, or -1.
        item: the item row that fits better, or -1.
    """
    texts, pictures = _centred(pairs.captions.pooled), _centred(pairs.items.pooled)
    by_text = _nearer(texts, rows, caption) < PARTIAL
    near: Bool[np.ndarray, " M"] = by_text | (_nearer(pictures, pairs.item_of[rows], item) < PARTIAL)
    return near


def _nearer(features: Float32[np.ndarray, "N P"], own: np.ndarray, better: np.ndarray) -> Float[np.ndarray, " M"]:
    """Give the share of all rows that are nearer to the better one than the own row is; 1 where there is no better one."""
    share = np.ones(len(own))
    for start in range(0, len(own), _ROWS):
        here = np.arange(start, min(start + _ROWS, len(own)))
        here = here[better[here] >= 0]
        near = features[better[here]]
        share[here] = (near @ features.T > (near * features[own[here]]).sum(1)[:, None]).mean(1)
    return share


def _centred(pooled: np.ndarray) -> Float32[np.ndarray, "N P"]:
    rows = pooled.astype(np.float32) - pooled.mean(0, dtype=np.float32)
    unit: Float32[np.ndarray, "N P"] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit
