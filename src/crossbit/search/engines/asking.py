"""Asking: one question to a table on a server, made again and wider until the answer is whole.

A server gives so many answers, in no order among equals, and may give what must not be answered. Here the k best come out of
that, all of them, equal scores by ascending id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int64

from crossbit.search.engines.base import best_of
from crossbit.search.engines.milvus import LIMIT

if TYPE_CHECKING:
    from crossbit.search.engines.remote import MilvusEngine

Found = tuple[Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]
"""Scores, best first, and the ids that have them."""

Keep = Callable[[Int64[np.ndarray, " n"]], Bool[np.ndarray, " n"]]
Rescore = Callable[[np.ndarray, Int64[np.ndarray, " n"]], Float32[np.ndarray, " n"]]

SLACK = 1e-5
"""How far two equal float rows can come apart when a server multiplies them."""


class Asking:
    """One query, asked as often as it takes."""

    def __init__(
        self, engine: MilvusEngine, row: np.ndarray, rescore: Rescore, partitions: Sequence[str], strong: bool
    ) -> None:
        self.engine, self.row, self.rescore = engine, row, rescore
        self.partitions, self.strong = list(partitions), strong
        self.float = engine.kind == "float32"
        self.slack = SLACK if self.float else 0.0

    def ask(self, limit: int, where: str) -> Found:
        """Ask once: what the server finds, best first."""
        query = self.row.tolist() if self.float else self.row.tobytes()
        distances, ids = self.engine.server.search(
            self.engine.name, self.engine.kind, query, limit, where, self.partitions, self.strong
        )
        return self.engine.scores(distances), ids

    def best(self, k: int, where: str, keep: Keep | None) -> Found:
        """Ask for more until the k best and their ties are there."""
        limit = min(LIMIT, 2 * k + 32)
        while k < LIMIT:
            scores, ids = self.ask(limit, where)
            whole = len(ids) < limit
            may = np.ones(len(ids), dtype=bool) if keep is None else keep(ids)
            # behind the last answer others may be as good as it, so those are not all here yet
            sure = may if whole else may & (scores > scores[-1] + 2 * self.slack)
            if whole or np.count_nonzero(sure) >= k:
                return self._first(k, scores[may], ids[may])
            if limit == LIMIT:
                if keep is None and not self.float:
                    return self._lowest_of_ties(k, where, scores, ids)
                break
            limit = min(LIMIT, 4 * limit)
        return self._in_spans(k, where, keep)

    def _first(self, k: int, scores: np.ndarray, ids: np.ndarray) -> Found:
        if not self.float or not len(ids):
            return best_of(scores, ids, k)
        least = scores[min(k, len(scores)) - 1] - 2 * self.slack
        near = ids[scores >= least]
        return best_of(self.rescore(self.row, near), near, k)

    def _lowest_of_ties(self, k: int, where: str, scores: np.ndarray, ids: np.ndarray) -> Found:
        """Find the lowest ids among codes that tie by the ten thousand: none of them is above the k-th lowest seen so far."""
        better = scores > scores[-1]
        tied = np.sort(ids[~better])
        highest = int(tied[k - int(np.count_nonzero(better)) - 1])
        below = self.best(k, both(where, f"id <= {highest}"), None)
        both_ids, first = np.unique(np.concatenate([ids[better], below[1]]), return_index=True)
        return best_of(np.concatenate([scores[better], below[0]])[first], both_ids, k)

    def _in_spans(self, k: int, where: str, keep: Keep | None) -> Found:
        """Look at everything that a condition lets through, span by span."""
        best: Found = (np.empty(0, np.float32), np.empty(0, np.int64))
        for span in self.engine.spans(where, LIMIT - 1):
            scores, ids = self.ask(LIMIT, span)
            may = np.ones(len(ids), dtype=bool) if keep is None else keep(ids)
            scores, ids = self._first(min(k, LIMIT), scores[may], ids[may])
            best = best_of(np.concatenate([best[0], scores]), np.concatenate([best[1], ids]), k)
        return best


def both(one: str, other: str) -> str:
    """Write that two conditions hold; the first may be empty."""
    return f"({one}) and {other}" if one else other
