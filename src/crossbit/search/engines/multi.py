"""MultiIndexEngine: the answers of the exact scan over packed codes, without looking at all of them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Int32, Int64

from crossbit.codes.multi import MultiIndex, can_index
from crossbit.search.engines.base import Rows
from crossbit.search.engines.hamming import HammingEngine
from crossbit.search.engines.scan import Block


class MultiIndexEngine(HammingEngine):
    """Search blocks of many codes by multi-index hashing and scan the others; exact, see `crossbit.codes.multi`.

    Tables are made when a block is first searched, in a second or two for ten million codes, and are kept in memory.

    Args:
        bits: K; 0 takes eight times the bytes of the first codes.
        threads: how many share the queries, or a scan.
        least: blocks of fewer codes are scanned.
    """

    name: ClassVar[str] = "mih"

    def __init__(self, bits: int = 0, threads: int = 1, least: int = 100_000) -> None:
        super().__init__(bits, threads)
        self.least = least

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "least": self.least}

    def near(
        self, block: Block, queries: Rows, k: int, may: Bool[np.ndarray, " N"] | None
    ) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
        """Give the places of the k nearest in a block and their distances, through its tables where it has some."""
        index = self.index(block)
        if index is None:
            return super().near(block, queries, k, may)
        return index.topk(queries, k, allow=may, threads=self.threads)

    def index(self, block: Block) -> MultiIndex | None:
        """Give a block's tables, made now if they are not there yet; None where it is scanned."""
        if len(block.ids) < self.least or not can_index(len(block.ids), 8 * block.rows.shape[1]):
            return None
        if "tables" not in block.made:
            block.made["tables"] = MultiIndex(block.rows)
        found: MultiIndex = block.made["tables"]
        return found

    def prepare(self) -> None:
        """Make all tables now."""
        for block in self._blocks:
            self.index(block)

    @property
    def table_bytes(self) -> int:
        """Give the memory of the tables beside the codes."""
        return sum(block.made["tables"].bytes for block in self._blocks if "tables" in block.made)
