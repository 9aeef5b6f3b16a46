"""MultiIndex: exact search that looks at few of the codes (multi-index hashing, Norouzi, Punjani and Fleet, 2012).

Pays where the nearest are near, or the codes very many: a radius of a few bits, clustered codes, some ten million short ones.
What would take longer than the scan is scanned, so an answer is never late by more than a second scan, and always exact.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt8

from crossbit.codes import kernel
from crossbit.codes.hamming import hamming_topk, hamming_within, mask_or_rows
from crossbit.errors import EngineError

MOST_BITS = 26
"""Of a substring: the table of its values takes 256 MB."""
_MOST_TABLES = 64
_LOOKS = 64
"""A lookup misses the cache and takes as long as scanning so many words."""
_LEAST = 10_000
"""Lookups that are always tried."""
_FEW = 50
"""Where fewer than one row in so many is allowed, scanning those is faster."""

Found = tuple[Int64[np.ndarray, " n"], Int32[np.ndarray, " n"]]


def tables_for(rows: int, bits: int) -> int:
    """Say into how many substrings codes are cut: as long as it takes to number the rows, after the paper."""
    natural = round(bits / max(1.0, math.log2(max(2, rows))))
    return min(max(natural, -(-bits // MOST_BITS), 1), _MOST_TABLES)


def table_bytes(rows: int, bits: int) -> int:
    """Give the memory that the tables take: four bytes a row and a value, in each."""
    count = tables_for(rows, bits)
    return sum(4 * (rows + (1 << length) + 1) for length in np.diff(_edges(bits, count)).tolist())


def can_index(rows: int, bits: int) -> bool:
    """Say whether codes can be indexed here: by the kernel, fewer than 2**32 of them, 1,664 bits at most."""
    return kernel.extension() is not None and 0 < rows < 1 << 32 and bits <= MOST_BITS * _MOST_TABLES


class MultiIndex:
    """Tables over packed codes, which stay where they are.

    Args:
        codes: packed; kept, or copied where their rows are not whole 64-bit words.

    Raises:
        EngineError: they cannot be indexed here, see `can_index`.
    """

    def __init__(self, codes: UInt8[np.ndarray, "N W"]) -> None:
        self.bits = 8 * codes.shape[1]
        if not can_index(len(codes), self.bits):
            raise EngineError(
                f"MultiIndex: {len(codes):,} codes of {self.bits} bits, expected 1 to {(1 << 32) - 1:,} of up to "
                f"{MOST_BITS * _MOST_TABLES} bits, and the kernel in C",
                "scan them with `hamming_topk`",
            )
        self.given, self.codes = codes, kernel.whole_words(codes)
        self.edges = _edges(self.bits, tables_for(len(codes), self.bits))
        self.tables = [
            self._table(int(first), int(last)) for first, last in zip(self.edges, self.edges[1:], strict=False)
        ]
        self.words = self.codes.shape[1] // 8
        self.looked = 0  # buckets and rows, by all searches
        self.given_up = 0  # queries that were scanned

    def _table(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        starts, members = np.empty((1 << (last - first)) + 1, np.uint32), np.empty(len(self.codes), np.uint32)
        kernel.built().table(
            self.codes, len(self.codes), self.codes.shape[1] // 8, first, last - first, starts, members
        )
        return starts, members

    @property
    def bytes(self) -> int:
        """Give the memory of the tables."""
        return sum(starts.nbytes + members.nbytes for starts, members in self.tables)

    def topk(
        self,
        queries: UInt8[np.ndarray, "Q W"],
        k: int,
        *,
        allow: Shaped[np.ndarray, " M"] | None = None,
        threads: int = 1,
    ) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
        """Find the k nearest of every query; the same answer as `hamming_topk`, ties by ascending row too."""
        allowed = mask_or_rows(allow, len(self.codes), "MultiIndex.topk")
        if allowed is not None and _count(allowed) < max(k, len(self.codes) // _FEW):
            return hamming_topk(queries, self.given, k, allow=allowed, threads=threads)
        found = self._probe(queries, k, -1, allowed, threads)
        rows = np.full((len(queries), k), -1, np.int64)
        distances = np.full((len(queries), k), self.bits + 1, np.int32)
        for query, pair in enumerate(found):
            if pair is not None:
                rows[query, : len(pair[0])], distances[query, : len(pair[0])] = pair
        if late := [query for query, pair in enumerate(found) if pair is None]:
            rows[late], distances[late] = hamming_topk(queries[late], self.given, k, allow=allowed, threads=threads)
        return rows, distances

    def within(
        self,
        queries: UInt8[np.ndarray, "Q W"],
        radius: int,
        *,
        allow: Shaped[np.ndarray, " M"] | None = None,
        threads: int = 1,
    ) -> list[Found]:
        """Find all within a radius of every query; the same answer as `hamming_within`."""
        if radius < 0:
            raise EngineError(f"MultiIndex.within: radius is {radius}, expected 0 or more")
        allowed = mask_or_rows(allow, len(self.codes), "MultiIndex.within")
        found = self._probe(queries, 1, min(radius, self.bits), allowed, threads)
        late = [query for query, pair in enumerate(found) if pair is None]
        scanned = hamming_within(queries[late], self.given, radius, allow=allowed, threads=threads) if late else []
        for query, pair in zip(late, scanned, strict=True):
            found[query] = pair
        return [pair for pair in found if pair is not None]

    def _probe(
        self, queries: np.ndarray, k: int, radius: int, allowed: np.ndarray | None, threads: int
    ) -> list[Found | None]:
        """Ask the tables; None where a query was given up."""
        if queries.ndim != 2 or queries.dtype != np.uint8 or 8 * queries.shape[1] != self.bits:
            raise EngineError(
                f"MultiIndex: queries are {queries.dtype} of shape {queries.shape}, expected uint8 (Q, {self.bits // 8})"
            )
        if k < 1:
            raise EngineError(f"MultiIndex: k is {k}, expected 1 or more")
        bitmap = None if allowed is None else kernel.bitmap_of(allowed, len(self.codes))
        asked, stop = kernel.whole_words(queries), np.zeros(1, np.uint8)
        budget = max(_LEAST, len(self.codes) * self.words // _LOOKS)

        def run(some: np.ndarray) -> tuple[list[tuple[bytearray, bytearray] | None], int]:
            done: tuple[list[tuple[bytearray, bytearray] | None], int] = kernel.built().probe(
                some, len(some), self.codes, len(self.codes), self.words, self.bits, k, radius, self.edges, self.tables,
                bitmap, stop, budget,
            )  # fmt: skip
            return done

        parts = kernel.shared(run, np.array_split(asked, max(1, min(threads, len(asked)))), threads, stop)
        self.looked += sum(looked for _, looked in parts)
        found = [
            None if pair is None else (np.frombuffer(pair[0], np.int64), np.frombuffer(pair[1], np.int32))
            for part, _ in parts
            for pair in part
        ]
        self.given_up += sum(pair is None for pair in found)
        return found


def _count(allowed: np.ndarray) -> int:
    return int(np.count_nonzero(allowed)) if allowed.dtype == np.bool_ else len(allowed)


def _edges(bits: int, tables: int) -> Int32[np.ndarray, " m"]:
    """Say where the substrings begin and end: as equal as can be."""
    return np.linspace(0, bits, tables + 1).round().astype(np.int32)
