"""From rows straight to standings: similarities are made block by block, counted, and forgotten.

Two traps are closed here. *Equal rows must tie.* A matrix product may round the same dot product differently at the edge of
a block, so the similarities of a copy are taken from its original. *A relevant item must be compared by the same number that
it is counted with*: on an almost collapsed model a difference in the last bit would put every relevant item first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from crossbit.codes.hamming import hamming_block, words
from crossbit.errors import MetricError
from crossbit.metrics.relevance import Relevance, Relevant, SharedLabels, as_relevance
from crossbit.metrics.standings import Standings, TieGroups, count_block, join, tie_groups

_BLOCK_PAIRS = 1 << 23  # similarities held at once: 32 MB of float32
_SMALL_ROWS = 128  # queries whose relevant items are looked up together
_FEW_ROWS = 64
_FEW_GROUPS = 8  # tie groups of one column; with more, two passes are cheaper than one


def standings_from_rows(
    queries: Shaped[np.ndarray, "Q W"], items: Shaped[np.ndarray, "N _"], relevant: Any, *, block: int | None = None
) -> Standings:
    """Count where the relevant items of each query stand, without a Q x N matrix.

    Args:
        queries: embeddings (compared by their dot product) or packed codes (compared by Hamming distance).
        items: the same kind of rows.
        relevant: see `as_relevance`.
        block: queries compared at once; by default as many as make 8 million pairs.

    Raises:
        MetricError: rows of two kinds or widths, `relevant` made for another number, or a row that is not finite.
    """
    who = as_relevance(relevant, len(queries), len(items))
    pairs = _Pairs(queries, items)
    parts = [count_block(part, who.block(start, stop)) for start, stop, part in pairs.blocks(block)]
    return join(parts)


def standings_both_ways(
    a: Shaped[np.ndarray, "A W"], b: Shaped[np.ndarray, "B _"], relevant: Any, *, block: int | None = None
) -> tuple[Standings, Standings]:
    """Count the standings of both directions, comparing every pair once where that is possible.

    Args:
        a: rows of one side, such as images.
        b: rows of the other side, such as captions.
        relevant: which rows of `b` are relevant to each row of `a`; the other direction is its mirror image.
        block: rows of `a` compared at once.

    Returns:
        The standings of `a` asking `b`, and of `b` asking `a`.

    Raises:
        MetricError: as `standings_from_rows`.
    """
    who = as_relevance(relevant, len(a), len(b))
    pairs = _Pairs(a, b)
    if isinstance(who, Relevant) and len(who.items) and not pairs.rows_repeat():
        columns = _Columns(pairs, who)
        if columns.passes <= _FEW_GROUPS:
            parts = []
            for start, stop, part in pairs.blocks(block):
                parts.append(count_block(part, who.block(start, stop)))
                columns.add(start, stop, part)
            return join(parts), _repair(columns.standings(), columns.moved(), a, b, who, block)
    forth = standings_from_rows(a, b, who, block=block)
    return forth, standings_from_rows(b, a, _turned(who), block=block)


def _turned(who: Relevance) -> Relevance:
    if isinstance(who, SharedLabels):
        return SharedLabels(who.item_labels, who.query_labels)
    return who.block(0, who.queries).turned()


class _Pairs:
    """Makes similarities of two sets of rows: float dots, or negative Hamming distances as int16."""

    def __init__(self, queries: np.ndarray, items: np.ndarray) -> None:
        if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
            raise MetricError(f"standings: rows of shapes {queries.shape} and {items.shape}, expected one width")
        if not len(items) or not len(queries):
            raise MetricError(f"standings: {len(queries)} queries and {len(items)} items, expected some of each")
        self.packed = queries.dtype == np.uint8 and items.dtype == np.uint8
        if self.packed:
            self.dtype: np.dtype[Any] = np.dtype(np.int16)
            self.queries, self.items = words(queries), words(items)
            self.copies = self.originals = np.empty(0, np.int64)  # distances are whole numbers: equal rows tie anyway
            return
        if not (np.issubdtype(queries.dtype, np.floating) and np.issubdtype(items.dtype, np.floating)):
            raise MetricError(
                f"standings: rows of {queries.dtype} and {items.dtype}, expected both floating or both uint8"
            )
        self.dtype = np.result_type(queries.dtype, items.dtype, np.float32)
        self.queries = np.ascontiguousarray(queries, self.dtype)
        self.items = np.ascontiguousarray(items, self.dtype)
        for name, rows in (("query", self.queries), ("item", self.items)):
            _check_finite(name, rows)
        self.copies, self.originals = repeated_rows(self.items)

    def rows_repeat(self) -> bool:
        """Say whether one of the queries stands twice, which matters only where queries are searched too."""
        return not self.packed and len(repeated_rows(self.queries)[0]) > 0

    def blocks(self, rows: int | None) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield start, stop and similarities (rows, N) of one block of queries after the other; the array is used again."""
        if rows is not None and rows < 1:
            raise MetricError(f"standings: block is {rows}, expected 1 or more")
        most = max(1, _BLOCK_PAIRS // len(self.items)) if rows is None else rows
        count = -(-len(self.queries) // most)
        size = -(-len(self.queries) // count)  # blocks of one size, so that none is computed by another kernel
        buffer = np.empty((size, len(self.items)), self.dtype)
        for start in range(0, len(self.queries), size):
            stop = min(start + size, len(self.queries))
            yield start, stop, self._compare(start, stop, self.items, buffer[: stop - start])

    def _compare(self, start: int, stop: int, items: np.ndarray, out: np.ndarray) -> np.ndarray:
        if self.packed:
            hamming_block(self.queries[start:stop], items, out.view(np.uint16))
            np.negative(out, out=out)
        else:
            np.matmul(self.queries[start:stop], items.T, out=out)
            if items is self.items and len(self.copies):
                out[:, self.copies] = out[:, self.originals]
        return out

    def of_relevant(self, who: Relevant) -> np.ndarray:
        """Give the similarity of every (query, relevant item) pair, before the blocks are made."""
        original = np.arange(len(self.items))
        original[self.copies] = self.originals
        values = np.empty(len(who.items), self.dtype)
        for start in range(0, len(self.queries), _SMALL_ROWS):
            stop = min(start + _SMALL_ROWS, len(self.queries))
            part = who.block(start, stop)
            wanted, place = np.unique(original[part.items], return_inverse=True)
            buffer = np.empty((stop - start, len(wanted)), self.dtype)
            small = self._compare(start, stop, self.items[wanted], buffer)
            values[who.offsets[start] : who.offsets[stop]] = small[part.query_of, place]
        return values


def _check_finite(name: str, rows: np.ndarray) -> None:
    """Refuse rows whose dot products could be NaN; looking at the rows is cheaper than looking at all pairs."""
    lengths = np.einsum("ne,ne->n", rows, rows)
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise MetricError(
            f"standings: {name} {row} holds NaN, infinite or far too large numbers, expected an embedding"
        )


class _Columns:
    """Counts, while blocks of rows pass by, where the relevant rows of each column stand.

    A column's relevant similarities must be known before its first block, so they are computed beforehand in small
    products. `moved` says where the block then held another number; those columns are counted again on their own.
    """

    def __init__(self, pairs: _Pairs, who: Relevant) -> None:
        self.who = who
        self.values = pairs.of_relevant(who)
        self.turned = who.turned()
        order = np.lexsort((who.query_of, who.items))
        self.groups: TieGroups = tie_groups(self.values[order], self.turned)
        sizes = np.diff(self.groups.offsets)
        self.passes = int(sizes.max())
        self.gallery = who.queries
        self.ahead = np.zeros(len(self.groups.values), np.int64)
        self.tied = np.zeros(len(self.groups.values), np.int64)
        self._wrong = np.zeros(who.gallery, bool)
        self._columns = [np.flatnonzero(sizes > place) for place in range(self.passes)]

    def add(self, start: int, stop: int, part: np.ndarray) -> None:
        lists = self.who.block(start, stop)
        expected = self.values[self.who.offsets[start] : self.who.offsets[stop]]
        self._wrong[lists.items[part[lists.query_of, lists.items] != expected]] = True
        for place, columns in enumerate(self._columns):
            seen = part if len(columns) == part.shape[1] else part[:, columns]
            groups = self.groups.offsets[columns] + place
            self.ahead[groups] += _count_columns(np.greater, seen, self.groups.values[groups])
            self.tied[groups] += _count_columns(np.equal, seen, self.groups.values[groups])

    def standings(self) -> Standings:
        groups = self.groups
        return Standings(groups.offsets, self.ahead, self.tied, groups.sizes, groups.sizes_ahead, self.gallery)

    def moved(self) -> Int64[np.ndarray, " M"]:
        return np.flatnonzero(self._wrong)


def _repair(
    back: Standings, moved: np.ndarray, a: np.ndarray, b: np.ndarray, who: Relevant, block: int | None
) -> Standings:
    """Count some columns again, each in one product with all rows."""
    if not len(moved):
        return back
    again = standings_from_rows(b[moved], a, who.turned().select(moved), block=block)
    source = np.arange(len(back))
    source[moved] = len(back) + np.arange(len(moved))
    return join([back, again]).select(source)


def _count_columns(
    compare: np.ufunc, part: Shaped[np.ndarray, "B N"], values: Shaped[np.ndarray, " N"]
) -> Int64[np.ndarray, " N"]:
    """Count in each column how many numbers compare with the column's value; a few rows at a time stay in the cache."""
    total = np.zeros(part.shape[1], np.int64)
    mask = np.empty((_FEW_ROWS, part.shape[1]), bool)
    for start in range(0, len(part), _FEW_ROWS):
        rows = part[start : start + _FEW_ROWS]
        true = compare(rows, values, out=mask[: len(rows)])
        total += np.add.reduce(true.view(np.uint8), axis=0, dtype=np.uint8)  # at most 64, so bytes are enough
    return total


def repeated_rows(
    rows: Shaped[np.ndarray, "N E"],
) -> tuple[Int64[np.ndarray, " C"], Int64[np.ndarray, " C"]]:
    """Find the rows that are equal to an earlier one, bit for bit.

    Returns:
        Their numbers, and of each the number of the first such row.
    """
    parts = np.ascontiguousarray(rows).view(np.uint32)
    factors = np.random.default_rng(0).integers(1, 1 << 63, parts.shape[1], dtype=np.uint64) | np.uint64(1)
    keys = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), 1024):
        keys[start : start + 1024] = parts[start : start + 1024].astype(np.uint64) @ factors  # wraps at 2^64
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[group] != np.arange(len(rows)))
    originals = first[group[copies]]
    equal = (parts[copies] == parts[originals]).all(axis=1)
    return copies[equal], originals[equal]
