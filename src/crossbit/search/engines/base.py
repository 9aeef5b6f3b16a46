"""Engine: what scans. Rows and ids in, a Ranking out; it knows nothing of files, captions or models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from crossbit.errors import EngineError
from crossbit.ranking import Ranking

Row = Literal["float32", "uint8"]
Rows = np.ndarray[Any, Any]
"""(N, E) float32 unit rows, or (N, K/8) packed codes, most significant bit first: as the engine's `row` says."""


@runtime_checkable
class Engine(Protocol):
    """Hold rows under ids and find the best of them. `crossbit.testing.check_engine` tries all of this.

    * Ids are non-negative int64, each held once. Width is fixed by the first rows that are added.
    * Scores are higher-is-better: the dot product of unit rows, or `1 - 2 * hamming / K`.
    * Equal scores stand by ascending id, whatever the order in which rows were added.
    * Rows of another kind or width, and ids that are held already, are refused with `EngineError`.
    """

    @property
    def row(self) -> Row:
        """Say which rows it takes."""
        ...

    def add(self, ids: Int64[np.ndarray, " N"], rows: Rows) -> None:
        """Take rows under new ids."""
        ...

    def remove(self, ids: Int64[np.ndarray, " M"]) -> int:
        """Forget ids and say how many were held; unknown ones are ignored."""
        ...

    def search(self, rows: Rows, k: int, allow: Int64[np.ndarray, " M"] | None = None) -> Ranking:
        """Give for each query row the k best, padded with -1 where there are fewer.

        Args:
            rows: the queries, as wide as the rows that were added.
            k: how many, 1 or more.
            allow: the only ids that may be answered, in any order; None for all. Unknown ones are ignored.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the rows that are held into a folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what `save` wrote."""
        ...

    def __len__(self) -> int:
        """Count the rows that are held."""
        ...


def best_of(
    scores: Float32[np.ndarray, " N"], ids: Int64[np.ndarray, " N"], k: int
) -> tuple[Float32[np.ndarray, " k2"], Int64[np.ndarray, " k2"]]:
    """Give the k best scores and their ids, best first, equal scores by ascending id; -inf is no answer.

    A partition alone would pick any of the rows that tie with the k-th; here the lowest ids of them are kept.
    """
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        above = np.flatnonzero(scores > least)
        tied = np.flatnonzero(scores == least)
        missing = k - len(above)
        if missing < len(tied):
            tied = tied[np.argpartition(ids[tied], missing)[:missing]]
        kept = np.concatenate([above, tied])
        scores, ids = scores[kept], ids[kept]
    order = np.lexsort((ids, -scores))
    order = order[: int(np.count_nonzero(scores > -np.inf))]
    return scores[order], ids[order]


def padded(found: list[tuple[np.ndarray, np.ndarray]], k: int) -> Ranking:
    """Make a Ranking from one (scores, ids) a query, filling short answers with id -1 and score -inf."""
    ids = np.full((len(found), k), -1, dtype=np.int64)
    scores = np.full((len(found), k), -np.inf, dtype=np.float32)
    for query, (best, who) in enumerate(found):
        scores[query, : len(best)], ids[query, : len(who)] = best, who
    return Ranking(ids, scores)


def check_rows(where: str, rows: Rows, kind: Row, width: int) -> None:
    """Refuse rows that an engine cannot hold.

    Args:
        where: who asks, for the message.
        rows: what was handed over.
        kind: what the engine takes.
        width: numbers or bytes of a row; 0 while it is not known.

    Raises:
        EngineError: another dtype, shape or width, or a number that is not finite.
    """
    if rows.ndim != 2 or rows.dtype != np.dtype(kind):
        raise EngineError(f"{where}: rows are {rows.dtype} of shape {rows.shape}, expected {kind} of shape (N, width)")
    if width and rows.shape[1] != width:
        raise EngineError(f"{where}: rows are {rows.shape[1]} wide, expected {width} as those that are held")
    if kind == "float32" and not np.isfinite(rows).all():
        raise EngineError(f"{where}: a row holds NaN or infinity, expected finite numbers")
