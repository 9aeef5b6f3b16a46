"""Ranking: the one currency between engine, cascade, metric and hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from crossbit.errors import EngineError


@dataclass(frozen=True)
class Ranking:
    """Hold for each query the ids and scores of its answers, best first.

    A query with fewer than k answers is padded with id -1 and score -inf. Scores are higher-is-better everywhere: a code's
    score is `1 - 2 * hamming / K`, the cosine of the ±1 vectors, so dense and binary answers share one axis.

    Raises:
        EngineError: shapes or dtypes differ from (Q, k) int64 and (Q, k) float32, a row is not sorted, or padding stands
            before an answer.
    """

    ids: Int64[np.ndarray, "Q k"]
    scores: Float32[np.ndarray, "Q k"]

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.shape != self.scores.shape:
            raise EngineError(f"Ranking: ids {self.ids.shape} and scores {self.scores.shape}, expected the same (Q, k)")
        if self.ids.dtype != np.int64 or self.scores.dtype != np.float32:
            raise EngineError(f"Ranking: dtypes {self.ids.dtype} and {self.scores.dtype}, expected int64 and float32")
        if self.ids.shape[1] > 1:
            if not np.all(self.scores[:, :-1] >= self.scores[:, 1:]):
                raise EngineError("Ranking: a row of scores is not sorted, expected best first without NaN")
            padded = self.ids < 0
            if np.any(padded[:, :-1] & ~padded[:, 1:]):
                raise EngineError("Ranking: padding stands before an answer, expected it at the end")

    def __len__(self) -> int:
        return len(self.ids)
