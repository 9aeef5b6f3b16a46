"""HammingEngine: the exact scan over packed codes, by the kernel where it was built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from crossbit.codes import kernel
from crossbit.codes.hamming import hamming_distances, hamming_topk
from crossbit.errors import EngineError
from crossbit.ranking import Ranking
from crossbit.search.engines.base import Row, Rows, best_of, padded
from crossbit.search.engines.scan import Block, ScanEngine


class HammingEngine(ScanEngine):
    """Score every code by `1 - 2 * hamming / K`, the cosine of the ±1 vectors.

    Args:
        bits: K; 0 takes eight times the bytes of the first codes.
        threads: how many share a scan.
    """

    row: ClassVar[Row] = "uint8"
    name: ClassVar[str] = "scan"

    def __init__(self, bits: int = 0, threads: int = 1) -> None:
        super().__init__()
        self.bits = bits
        self.threads = threads

    def _settings(self) -> dict[str, Any]:
        return {"bits": self.bits, "threads": self.threads}

    def _store(self, rows: Rows) -> tuple[Rows, np.ndarray | None]:
        return np.ascontiguousarray(rows), None

    def attach(self, block: Block) -> None:
        """Take a block of packed codes as they are."""
        width = block.rows.shape[1]
        if self.bits and width != -(-self.bits // 8):
            raise EngineError(
                f"HammingEngine: codes of {width} bytes, expected {-(-self.bits // 8)} for {self.bits} bits"
            )
        super().attach(block)

    def search_among(self, rows: Rows, k: int, masks: Sequence[Bool[np.ndarray, " N"]] | None) -> Ranking:
        """Give the k nearest of every query; among equals the lower id comes first. See `ScanEngine`."""
        self._check_search(rows, k, masks)
        queries = np.ascontiguousarray(rows)
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in rows]
        for number, block in enumerate(self._blocks):
            may = block.among(None if masks is None else masks[number])
            near, distances = self.near(block, queries, min(k, len(block.ids)), may)
            scores = self._scores(distances)
            if len(self._blocks) == 1:  # in order already: rows ascend with their ids
                found = np.where(near < 0, -1, block.ids[near])
                return padded([(s[f >= 0], f[f >= 0]) for s, f in zip(scores, found, strict=True)], k)
            for query, (before, who) in enumerate(best):
                found = near[query] >= 0
                ids = block.ids[near[query][found]]
                best[query] = best_of(np.concatenate([before, scores[query][found]]), np.concatenate([who, ids]), k)
        return padded(best, k)

    def near(
        self, block: Block, queries: Rows, k: int, may: Bool[np.ndarray, " N"] | None
    ) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
        """Give the places of the k nearest in a block and their distances; `may` says which may be found."""
        rows = self._whole(block)
        asked = kernel.whole_words(queries) if rows is not block.rows else queries
        return hamming_topk(asked, rows, k, allow=may, threads=self.threads)

    def _whole(self, block: Block) -> Rows:
        """Give a block's codes as rows of whole 64-bit words: in place, or filled up once and kept."""
        if block.rows.shape[1] % 8 == 0 or kernel.extension() is None:
            return block.rows
        if "words" not in block.made:
            block.made["words"] = kernel.whole_words(block.rows)
        words: Rows = block.made["words"]
        return words

    @property
    def blocks(self) -> Sequence[Block]:
        """Give the blocks that are held, in the order in which they came."""
        return self._blocks

    def prepare(self) -> None:
        """Make now what the first search would make; a scan needs nothing."""

    def _scores(self, distances: np.ndarray) -> Float32[np.ndarray, "Q n"]:
        # halves and integers below 2**24 are exact in float32, so equal distances give equal scores
        scores: np.ndarray = np.float32(1) - np.float32(2) * distances.astype(np.float32) / np.float32(
            self.bits or 8 * self.width
        )
        return scores

    def _compare(self, queries: Rows, block: Block, part: slice | np.ndarray) -> Float32[np.ndarray, "Q n"]:
        return self._scores(hamming_distances(queries, block.rows[part]))
