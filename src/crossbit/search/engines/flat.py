"""FlatEngine: the exact dense scan, over float16 or int8 rows that may lie on disk."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Int64

from crossbit.codes import kernel
from crossbit.codes.dots import dots_at
from crossbit.errors import EngineError
from crossbit.search.engines.base import Row, Rows
from crossbit.search.engines.scan import Block, ScanEngine

Precision = Literal["float32", "float16", "int8"]

_FEW_QUERIES = 4
"""Up to here memory is the limit, not arithmetic: one thread is as fast as two that wait for each other on a busy machine."""

_IN_PLACE = 16
"""How many times more rows are compared at a time where they are not copied."""

KEEP_BYTES = 128 << 20
"""Float32 copies of rows that are kept between searches: small collections answer without converting again."""


class FlatEngine(ScanEngine):
    """Score every row by its dot product with the query.

    Args:
        precision: how rows are held. float16 keeps a cosine to about 1e-3 in a hundred, int8 (one scale a row) to about
            1e-2; both are compared in float32.
    """

    row: ClassVar[Row] = "float32"
    slack: ClassVar[float] = 1e-5

    def __init__(self, precision: Precision = "float16") -> None:
        if precision not in ("float32", "float16", "int8"):
            raise EngineError(f"FlatEngine: precision {precision!r}, expected float32, float16 or int8")
        super().__init__()
        self.precision = precision
        self._kept: dict[int, Float32[np.ndarray, "N E"]] = {}

    def _settings(self) -> dict[str, Any]:
        return {"precision": self.precision}

    def _store(self, rows: Rows) -> tuple[Rows, np.ndarray | None]:
        return quantise(rows, self.precision)

    def _in_place(self, queries: int) -> bool:
        """Say whether rows are compared where they lie: for few queries, since each reads them anew."""
        return queries <= _FEW_QUERIES and kernel.extension() is not None

    def _chunk(self, queries: int) -> int:
        # nothing is copied in place, so only the scores take room
        return super()._chunk(queries) * (_IN_PLACE if self._in_place(queries) else 1)

    def _compare(self, queries: Rows, block: Block, part: slice | np.ndarray) -> Float32[np.ndarray, "Q n"]:
        if self._in_place(len(queries)):
            places = np.arange(len(block.ids))[part] if isinstance(part, slice) else part
            return np.stack([dots_at(block.rows, places, query, block.scales) for query in queries])
        rows = self._floats(block)[part] if self._small() else block.rows[part].astype(np.float32)
        few = len(queries) <= _FEW_QUERIES
        scores = np.stack([np.vecdot(rows, query) for query in queries]) if few else queries @ rows.T  # (Q, n)
        return scores if block.scales is None else scores * block.scales[part]

    def _refine(
        self, query: np.ndarray, block: Block, places: np.ndarray, scores: Float32[np.ndarray, " m"]
    ) -> Float32[np.ndarray, " m"]:
        # a matrix product adds up rows at the edge of its blocks in another order: copies of one picture would then come out
        # one unit apart, and not by ascending id
        return dots_at(block.rows, places, query, block.scales)

    def _small(self) -> bool:
        return sum(block.rows.size for block in self._blocks) * 4 <= KEEP_BYTES

    def _floats(self, block: Block) -> Float32[np.ndarray, "N E"]:
        # keyed by the block itself, which lives as long as the engine does
        if id(block) not in self._kept:
            self._kept[id(block)] = block.rows.astype(np.float32)
        return self._kept[id(block)]

    def score(self, query: Float32[np.ndarray, " E"], ids: Int64[np.ndarray, " M"]) -> Float32[np.ndarray, " M"]:
        """Score some ids: what makes the answer of a short list as good as that of a whole scan.

        Rows are read where they lie, which may be a mapped file.

        Raises:
            EngineError: an id is not held.
        """
        scores = np.zeros(len(ids), dtype=np.float32)
        missing = np.ones(len(ids), dtype=bool)
        for block in self._blocks:
            where, at = block.places(ids)
            scores[where] = dots_at(block.rows, at, query, block.scales)
            missing[where] = False
        self._all_held(ids, missing)
        return scores

    def rows(self, ids: Int64[np.ndarray, " M"]) -> Float32[np.ndarray, "M E"]:
        """Give the rows of some ids, as held but in float32: what rescoring reads from disk.

        Raises:
            EngineError: an id is not held.
        """
        found = np.zeros((len(ids), self.width), dtype=np.float32)
        missing = np.ones(len(ids), dtype=bool)
        for block in self._blocks:
            where, at = block.places(ids)
            found[where] = restore(block.rows[at], None if block.scales is None else block.scales[at])
            missing[where] = False
        self._all_held(ids, missing)
        return found

    def _all_held(self, ids: np.ndarray, missing: np.ndarray) -> None:
        if missing.any():
            raise EngineError(f"FlatEngine: id {ids[missing][0]} is not held")


def quantise(rows: Float32[np.ndarray, "N E"], precision: Precision) -> tuple[Rows, np.ndarray | None]:
    """Give rows at a precision, and for int8 the scale that each row is multiplied with to get it back."""
    if precision != "int8":
        return rows.astype(precision), None
    largest = np.abs(rows).max(axis=1, initial=0.0)
    scales = np.where(largest > 0, largest / 127.0, 1.0).astype(np.float32)
    return np.rint(rows / scales[:, None]).astype(np.int8), scales


def restore(rows: Rows, scales: np.ndarray | None) -> Float32[np.ndarray, "N E"]:
    """Give float32 rows from held ones: the inverse of `quantise`, up to its rounding."""
    floats = rows.astype(np.float32)
    return floats if scales is None else floats * scales[:, None]
