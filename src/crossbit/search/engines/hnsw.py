"""HNSWEngine: approximate search over packed codes by a navigable graph (Malkov and Yashunin, 2018), made by faiss.

The only door to faiss. A graph finds most of the nearest, not all: `measured_recall` says how many.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Int32, Int64

from crossbit.codes.hamming import hamming_topk
from crossbit.errors import EngineError
from crossbit.search.engines.base import Rows
from crossbit.search.engines.hamming import HammingEngine
from crossbit.search.engines.scan import Block


class HNSWEngine(HammingEngine):
    """Search blocks of many codes through a graph; small blocks, filtered searches and much-deleted blocks are scanned.

    Graphs are made when a block is first searched: minutes for some million codes. Equal scores stand by ascending id among
    those that were found.

    Args:
        bits: K; 0 takes eight times the bytes of the first codes.
        threads: how many build a graph and share the queries or a scan.
        links: neighbours that a code keeps in the graph; memory is about 8 * links + 20 bytes a code.
        effort: candidates that a search keeps; more finds more and takes longer.
        building: candidates that building keeps.
        least: blocks of fewer codes are scanned.
    """

    name: ClassVar[str] = "hnsw"

    def __init__(
        self,
        bits: int = 0,
        threads: int = 1,
        links: int = 16,
        effort: int = 128,
        building: int = 80,
        least: int = 100_000,
    ) -> None:
        super().__init__(bits, threads)
        self.links, self.effort, self.building, self.least = links, effort, building, least

    def _settings(self) -> dict[str, Any]:
        own = {"links": self.links, "effort": self.effort, "building": self.building, "least": self.least}
        return {**super()._settings(), **own}

    def near(
        self, block: Block, queries: Rows, k: int, may: Bool[np.ndarray, " N"] | None
    ) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
        """Give the places of the nearest that the graph finds, or that a scan does."""
        # among few that may be found a graph would lose its way
        barred = 0 if may is None else len(may) - int(np.count_nonzero(may))
        wide = k + min(barred, self.effort)
        if len(block.ids) < self.least or 8 * barred > len(block.ids) or 4 * wide > len(block.ids):
            return super().near(block, queries, k, may)
        graph = self.graph(block)
        graph.hnsw.efSearch = max(self.effort, 2 * wide)
        distances, rows = graph.search(np.ascontiguousarray(queries), wide)
        distances, rows = distances.astype(np.int32), rows.astype(np.int64)
        lost = rows < 0 if may is None else (rows < 0) | ~may[np.maximum(rows, 0)]
        distances[lost], rows[lost] = 8 * block.rows.shape[1] + 1, -1
        # among equals the lower row first, and what is lost last
        order = np.lexsort((np.where(rows < 0, np.iinfo(np.int64).max, rows), distances), axis=1)[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)

    def graph(self, block: Block) -> Any:
        """Give a block's graph, made now if it is not there yet.

        Raises:
            EngineError: faiss is not installed.
        """
        name = f"graph of {self.links} links, {self.building}"
        if name not in block.made:
            library = faiss()
            library.omp_set_num_threads(self.threads)
            made = library.IndexBinaryHNSW(8 * block.rows.shape[1], self.links)
            made.hnsw.efConstruction = self.building
            made.add(np.ascontiguousarray(block.rows))
            block.made[name] = made
        return block.made[name]

    def prepare(self) -> None:
        """Make all graphs now."""
        for block in self._blocks:
            if len(block.ids) >= self.least:
                self.graph(block)


def faiss() -> Any:
    """Import faiss.

    Raises:
        EngineError: it is not installed.
    """
    try:
        import faiss as library
    except ImportError as error:
        raise EngineError(
            "HNSWEngine: faiss is not installed, expected it for graphs", "pip install 'crossbit[faiss]'"
        ) from error
    return library


def has_faiss() -> bool:
    """Say whether faiss is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("faiss") is not None


def measured_recall(engine: HammingEngine, *, k: int = 10, queries: int = 100, seed: int = 0) -> float:
    """Say how many of the k nearest an engine finds: of some of its own codes, with a sixteenth of their bits turned.

    A found code counts where it is as near as the k-th of the exact scan, since codes tie by the dozen.
    """
    draw = np.random.default_rng(seed)
    blocks = [block for block in engine.blocks if len(block.ids)]
    if not blocks:
        return 1.0
    block = max(blocks, key=lambda one: len(one.ids))
    k = min(k, len(block.ids))
    rows = np.sort(draw.choice(len(block.ids), min(queries, len(block.ids)), replace=False))
    asked = np.array(block.rows[rows])
    noise = np.bitwise_and.reduce(draw.integers(0, 256, (4, *asked.shape), dtype=np.uint8))
    asked ^= noise
    _, found = engine.near(block, asked, k, block.alive)
    _, exact = hamming_topk(asked, block.rows, k, allow=block.alive, threads=engine.threads)
    hits = np.count_nonzero(found <= exact[:, -1:])
    return float(hits / exact.size)
