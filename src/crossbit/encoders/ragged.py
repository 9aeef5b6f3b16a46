"""Rows of different lengths in one array: what encoders without weights of their own hand on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import ArrayLike


def padded(
    rows: Sequence[Sequence[ArrayLike] | np.ndarray], width: int
) -> tuple[Float32[np.ndarray, "B L D"], Bool[np.ndarray, "B L"]]:
    """Lay rows of tokens into one array of the longest, at least one token long, and say which tokens are real.

    Args:
        rows: of each item its tokens, (L, D) or none.
        width: D.
    """
    longest = max(1, max((len(row) for row in rows), default=1))
    tokens, mask = np.zeros((len(rows), longest, width), np.float32), np.zeros((len(rows), longest), bool)
    for place, row in enumerate(rows):
        if len(row):
            tokens[place, : len(row)], mask[place, : len(row)] = np.asarray(row, np.float32), True
    return tokens, mask


def mean_of_real(tokens: Float32[np.ndarray, "B L D"], mask: Bool[np.ndarray, "B L"]) -> Float32[np.ndarray, "B D"]:
    """Give the mean of the real tokens of padded rows, whose other tokens are 0; 0 where there is none."""
    mean: np.ndarray = tokens.sum(1) / np.maximum(mask.sum(1, keepdims=True), 1).astype(np.float32)
    return mean.astype(np.float32)
