"""Standings: where the relevant items of each query stand. Every measure is computed from these counts and from nothing else.

A query's items fall into groups of equal similarity. For each group that holds a relevant item four numbers are kept: how
many items are ahead of the group, how many are in it, how many of those are relevant, how many relevant are ahead. That is
enough for the exact expectation of every measure over the orders that ties allow, and it is small: one row of numbers for a
relevant item, whatever the size of the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int64, Shaped

from crossbit.errors import MetricError
from crossbit.metrics.relevance import Relevant, as_relevance

Ties = Literal["expected", "optimistic", "pessimistic"]

Blocks = Callable[[], Iterable[np.ndarray]]
"""Called without arguments, gives blocks of queries against the whole gallery, in the order of the queries."""

_FEW = 24  # relevant items of a query; up to here comparing the row with each is cheaper than sorting it


@dataclass(frozen=True)
class Standings:
    """Hold the tie groups with relevant items of every query, best group first, one query behind the other.

    Args:
        offsets: the groups of query q stand from `offsets[q]` to before `offsets[q + 1]`; none where nothing is relevant.
        ahead: items of the gallery that are strictly more similar than the group.
        tied: items in the group, the relevant ones included.
        relevant: relevant items in the group.
        relevant_ahead: relevant items in the groups before.
        gallery: how many items are searched.
    """

    offsets: Int64[np.ndarray, " P"]
    ahead: Int64[np.ndarray, " G"]
    tied: Int64[np.ndarray, " G"]
    relevant: Int64[np.ndarray, " G"]
    relevant_ahead: Int64[np.ndarray, " G"]
    gallery: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def query_of(self) -> Int64[np.ndarray, " G"]:
        """Give the query that each group belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def totals(self) -> Int64[np.ndarray, " Q"]:
        """Give the number of relevant items of each query."""
        return self.sum_groups(self.relevant).astype(np.int64)

    @cached_property
    def first(self) -> Int64[np.ndarray, " Q"]:
        """Give the place of each query's best group.

        Raises:
            MetricError: a query has no relevant item.
        """
        self.require_relevant()
        return self.offsets[:-1]

    def require_relevant(self) -> None:
        """Refuse queries without a relevant item: what to do with them is the protocol's decision, not a measure's.

        Raises:
            MetricError: there is one; the message counts them and names the first.
        """
        empty = np.flatnonzero(np.diff(self.offsets) == 0)
        if len(empty):
            raise MetricError(
                f"standings: {len(empty)} of {len(self)} queries have no relevant item, first query {empty[0]}",
                "leave them out with `standings.answerable()`, or count them as zero where the protocol says so",
            )

    def sum_groups(self, values: Shaped[np.ndarray, " G"]) -> Shaped[np.ndarray, " Q"]:
        """Add up one value a group into one a query; zero for a query without groups."""
        return np.bincount(self.query_of, weights=values, minlength=len(self))

    def answerable(self) -> Standings:
        """Leave out the queries without a relevant item."""
        return self.select(np.flatnonzero(np.diff(self.offsets)))

    def select(self, queries: Shaped[np.ndarray, " S"]) -> Standings:
        """Give the standings of some queries (row numbers or a mask), in the order named."""
        chosen = np.arange(len(self))[queries]
        sizes = np.diff(self.offsets)[chosen]
        offsets = _offsets(sizes)
        groups = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][chosen] - offsets[:-1], sizes)
        parts = (self.ahead[groups], self.tied[groups], self.relevant[groups], self.relevant_ahead[groups])
        return Standings(offsets, *parts, self.gallery)

    def resolved(self, ties: Ties = "expected") -> Standings:
        """Give the standings in which ties have fallen the best or the worst way.

        The relevant items of a group come to stand first or last in it and tie among themselves, which no measure can see.
        So every bound is the expectation over standings that leave nothing open, and there is one formula, not three.

        Raises:
            MetricError: `ties` is none of the three.
        """
        if ties == "optimistic":
            return replace(self, tied=self.relevant)
        if ties == "pessimistic":
            return replace(self, ahead=self.ahead + self.tied - self.relevant, tied=self.relevant)
        if ties != "expected":
            raise MetricError(f"ties: {ties!r}, expected one of {list(get_args(Ties))}")
        return self


def join(parts: Sequence[Standings]) -> Standings:
    """Put standings of consecutive queries behind each other.

    Raises:
        MetricError: there are none, or they were made on galleries of several sizes.
    """
    if len({part.gallery for part in parts}) != 1:
        raise MetricError(f"join: galleries of {sorted({part.gallery for part in parts})} items, expected one size")
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Standings(
        _offsets(sizes),
        column("ahead"),
        column("tied"),
        column("relevant"),
        column("relevant_ahead"),
        parts[0].gallery,
    )


def standings(similarity: Shaped[np.ndarray, "Q N"] | Iterable[np.ndarray] | Blocks, relevant: Any) -> Standings:
    """Count where the relevant items stand.

    Similarities are compared exactly, so two items tie when their numbers are the same. To go from rows straight to
    standings without a Q x N matrix, see `standings_from_rows`.

    Args:
        similarity: one row a query, higher is better, floats or signed integers; or blocks of rows in the order of the
            queries, or a function that yields such blocks.
        relevant: see `as_relevance`: `Relevant`, `SharedLabels`, CSR, a boolean table, one item number for each query.

    Raises:
        MetricError: sizes do not agree, or a similarity is NaN.
    """
    if isinstance(similarity, np.ndarray):
        known, blocks = len(similarity), iter([similarity])
    else:
        known, blocks = None, iter(similarity() if callable(similarity) else similarity)
    parts: list[Standings] = []
    who = None
    start = 0
    for block in blocks:
        who = as_relevance(relevant, known, block.shape[1]) if who is None else who
        stop = start + len(block)
        if stop > who.queries or block.shape[1] != who.gallery:
            raise MetricError(
                f"standings: a block {block.shape} from query {start} on, expected {who.queries} x {who.gallery} together"
            )
        if np.issubdtype(block.dtype, np.floating) and np.isnan(block).any():
            raise MetricError("standings: a similarity is NaN, expected numbers", "look for NaN in the embeddings")
        parts.append(count_block(block, who.block(start, stop)))
        start = stop
    if who is None or start != who.queries:
        raise MetricError(f"standings: blocks held {start} queries, expected {'some' if who is None else who.queries}")
    return join(parts)


def count_block(block: Shaped[np.ndarray, "B N"], relevant: Relevant) -> Standings:
    """Count the standings of a block of queries against the whole gallery; no similarity may be NaN."""
    if relevant.counts.max(initial=0) > _FEW:
        bounds = relevant.offsets
        return join([_by_sorting(row, relevant.items[bounds[q] : bounds[q + 1]]) for q, row in enumerate(block)])
    groups = tie_groups(block[relevant.query_of, relevant.items], relevant)
    ahead = np.empty(len(groups.values), np.int64)
    tied = np.empty(len(groups.values), np.int64)
    for query, row in enumerate(block):
        for group in range(groups.offsets[query], groups.offsets[query + 1]):
            ahead[group] = np.count_nonzero(row > groups.values[group])
            tied[group] = np.count_nonzero(row == groups.values[group])
    return Standings(groups.offsets, ahead, tied, groups.sizes, groups.sizes_ahead, relevant.gallery)


def _by_sorting(row: Shaped[np.ndarray, " N"], items: Int64[np.ndarray, " M"]) -> Standings:
    """Count one query with many relevant items: look their similarities up in the sorted row."""
    values, sizes = np.unique(row[items], return_counts=True)
    values, sizes = values[::-1], sizes[::-1]
    ordered = np.sort(row)
    behind = np.searchsorted(ordered, values, side="left")
    up_to = np.searchsorted(ordered, values, side="right")
    counts = (len(row) - up_to, up_to - behind, sizes, np.cumsum(sizes) - sizes)
    return Standings(np.array([0, len(values)]), *counts, len(row))


@dataclass(frozen=True)
class TieGroups:
    """Hold the different similarities of each query's relevant items, best first, and how many items share each."""

    offsets: Int64[np.ndarray, " P"]
    values: Shaped[np.ndarray, " G"]
    sizes: Int64[np.ndarray, " G"]
    sizes_ahead: Int64[np.ndarray, " G"]


def tie_groups(values: Shaped[np.ndarray, " M"], relevant: Relevant) -> TieGroups:
    """Group the similarities of the relevant items of each query.

    Args:
        values: one for each of `relevant.items`.
        relevant: whose lists they are.
    """
    query = relevant.query_of
    order = np.lexsort((values, query))[::-1]  # last query first, within it best first
    order = order[np.argsort(query[order], kind="stable")]  # first query first, within it still best first
    query, values = query[order], values[order]
    opens = np.ones(len(values), bool)
    opens[1:] = (query[1:] != query[:-1]) | (values[1:] != values[:-1])
    starts = np.flatnonzero(opens)
    sizes = np.diff(np.append(starts, len(values)))
    offsets = np.searchsorted(query[starts], np.arange(relevant.queries + 1))
    sizes_ahead = starts - np.repeat(relevant.offsets[:-1], np.diff(offsets))
    return TieGroups(offsets, values[starts], sizes, sizes_ahead)


def _offsets(sizes: Int64[np.ndarray, " Q"]) -> Int64[np.ndarray, " P"]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
