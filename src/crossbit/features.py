"""Features: what a frozen encoder says of N items, in NumPy.

The torch twin is `crossbit.batch.Encoded`. Two types and not one, because indexing and searching must work without torch
(docs/decisions/0001-numpy-features.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from crossbit.errors import BatchError

Modality = Literal["image", "text", "video", "audio"]
MODALITIES: tuple[str, ...] = get_args(Modality)


@dataclass(frozen=True)
class Features:
    """Hold tokens, mask and pooled vector of N items of one modality.

    Args:
        modality: which kind of media the items are.
        tokens: grid cells, word pieces, frames or windows, zero where masked out.
        mask: True where a token is real.
        pooled: the encoder's own summary of each item; its width may differ from the tokens'.

    Raises:
        BatchError: the three do not agree.
    """

    modality: Modality
    tokens: Float[np.ndarray, "N L D"]
    mask: Bool[np.ndarray, "N L"]
    pooled: Float[np.ndarray, "N P"]

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.mask.shape != self.tokens.shape[:2] or len(self.pooled) != len(self.tokens):
            raise BatchError(
                f"Features {self.modality}: tokens {self.tokens.shape}, mask {self.mask.shape}, pooled {self.pooled.shape}; "
                "expected (N, L, D), (N, L) and (N, P)"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: slice | np.ndarray) -> Features:
        return replace(self, tokens=self.tokens[rows], mask=self.mask[rows], pooled=self.pooled[rows])


def concatenate(parts: Sequence[Features]) -> Features:
    """Join features of one modality, padding all to the longest L with mask False."""
    if not parts:
        raise BatchError("concatenate: got no features, expected at least one part")
    length = max(part.tokens.shape[1] for part in parts)

    def pad(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, 0), (0, length - array.shape[1])] + [(0, 0)] * (array.ndim - 2))

    return Features(
        parts[0].modality,
        np.concatenate([pad(part.tokens) for part in parts]),
        np.concatenate([pad(part.mask) for part in parts]),
        np.concatenate([part.pooled for part in parts]),
    )
