"""HammingEngine: the exact scan over packed codes, in NumPy."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32

from crossbit.codes.hamming import hamming_distances
from crossbit.errors import EngineError
from crossbit.search.engines.base import Row, Rows
from crossbit.search.engines.scan import Block, ScanEngine


class HammingEngine(ScanEngine):
    """Score every code by `1 - 2 * hamming / K`, the cosine of the ±1 vectors.

    Args:
        bits: K; 0 takes eight times the bytes of the first codes.
    """

    row: ClassVar[Row] = "uint8"

    def __init__(self, bits: int = 0) -> None:
        super().__init__()
        self.bits = bits

    def _settings(self) -> dict[str, Any]:
        return {"bits": self.bits}

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

    def _compare(self, queries: Rows, block: Block, part: slice | np.ndarray) -> Float32[np.ndarray, "Q n"]:
        distances = hamming_distances(queries, block.rows[part])
        # halves and integers below 2**24 are exact in float32, so equal distances give equal scores
        return np.float32(1) - np.float32(2) * distances.astype(np.float32) / np.float32(self.bits or 8 * self.width)
