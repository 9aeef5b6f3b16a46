"""Which engine searches the codes of a collection: told from size, width, memory and how long a query may take.

The estimates are for codes at random, where the nearest are farthest: real codes are searched as fast or faster. What was
measured afterwards is kept beside what was expected, and both are told.
"""

from __future__ import annotations

import logging
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from crossbit.codes import kernel
from crossbit.codes.multi import can_index, table_bytes, tables_for
from crossbit.errors import EngineError, UsageError
from crossbit.search.engines.hamming import HammingEngine
from crossbit.search.engines.hnsw import HNSWEngine, has_faiss, measured_recall
from crossbit.search.engines.multi import MultiIndexEngine

log = logging.getLogger(__name__)

Wanted = Literal["auto", "scan", "mih", "hnsw"]

_KERNEL, _TWIN = 15_000_000, 500_000
"""Bytes that the kernel and its NumPy twin scan in a millisecond, by one thread: a cautious half of what was measured."""
_LOOK = 2e-5
"""Milliseconds of one lookup in a table: three misses of the cache, many at a time."""
_LINK_BYTES = 20
"""Of a code in a graph, beside eight for each link."""


@dataclass(frozen=True)
class Choice:
    """An engine, why it was chosen, and what it was found to do.

    Args:
        engine: "scan" and "mih" are exact, "hnsw" is not.
        why: a sentence.
        rows: codes.
        bits: of a code.
        bytes: memory of codes and tables.
        expected_ms: of one query for ten answers.
        recall: of the ten nearest; 1 for exact engines, None for a graph that was not measured yet.
        measured_ms: median of one query, None until `measured`.
        build_s: seconds that tables or a graph took, None until `measured`.
    """

    engine: Literal["scan", "mih", "hnsw"]
    why: str
    rows: int
    bits: int
    bytes: int
    expected_ms: float
    recall: float | None = 1.0
    measured_ms: float | None = None
    build_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the choice as JSON knows it."""
        return asdict(self)

    def __str__(self) -> str:
        found = "exact" if self.engine != "hnsw" else "recall not measured"
        if self.engine == "hnsw" and self.recall is not None:
            found = f"recall@10 {self.recall:.3f}"
        took = f"{self.expected_ms:.2g} ms a query expected"
        if self.measured_ms is not None:
            took = f"{self.measured_ms:.2g} ms a query"
        return f"{self.engine}, {found}, {took}: {self.why}"


def choose(
    rows: int,
    bits: int,
    *,
    engine: Wanted = "auto",
    latency_ms: float = 10.0,
    memory: int | None = None,
    recall: float = 1.0,
    threads: int = 1,
) -> Choice:
    """Choose what searches so many codes.

    The scan where it is fast enough. Else the tables of multi-index hashing where they fit and are faster. Else, if not all of
    the nearest must be found, a graph. Else the faster of the exact ones, and `why` says that the goal is missed.

    Args:
        rows: codes.
        bits: of a code.
        engine: "auto", or the one to take.
        latency_ms: how long a query for ten answers may take.
        memory: bytes that codes and tables may take; None for half of the machine's.
        recall: share of the nearest that must be found; a graph only comes into question below 1.
        threads: that share a scan.

    Raises:
        UsageError: there is no such engine.
        EngineError: the engine that is named cannot run here.
    """
    if engine not in get_args(Wanted):
        raise UsageError(f"engine {engine!r}, expected one of {', '.join(get_args(Wanted))}")
    room = _memory() // 2 if memory is None else memory
    scan, tables, graph = _scan(rows, bits, threads), _tables(rows, bits), _graph(rows, bits)
    if engine != "auto":
        return replace(_named(engine, scan, tables, graph), why="asked for")
    size = f"{rows:,} codes of {bits} bits"
    goal = f"{latency_ms:g} ms"
    if scan.expected_ms <= latency_ms:
        return replace(scan, why=f"{size} are scanned within {goal}")
    if tables is not None and tables.bytes > room:
        tables = None
    if tables is not None and tables.expected_ms <= min(latency_ms, scan.expected_ms):
        count = tables_for(rows, bits)
        return replace(
            tables, why=f"{size} would take {scan.expected_ms:.0f} ms to scan; {count} tables look at few of them"
        )
    if graph is not None and recall < 1 and graph.bytes <= room:
        return replace(
            graph, why=f"{size} would take {scan.expected_ms:.0f} ms to scan, and {recall:g} of the nearest suffice"
        )
    best = tables if tables is not None and tables.expected_ms < scan.expected_ms else scan
    missed = f"{size} and nothing exact within {goal}"
    return replace(best, why=f"{missed}; more threads, or a recall below 1, would help")


def open_engine(choice: Choice, threads: int = 1) -> HammingEngine:
    """Make the engine of a choice, empty."""
    made: dict[str, Callable[[], HammingEngine]] = {
        "scan": lambda: HammingEngine(choice.bits, threads),
        "mih": lambda: MultiIndexEngine(choice.bits, threads),
        "hnsw": lambda: HNSWEngine(choice.bits, threads),
    }
    return made[choice.engine]()


def measured(choice: Choice, engine: HammingEngine, *, queries: int = 20) -> Choice:
    """Make the engine's tables, time it and measure the recall of a graph, tell it in the log, and give it with the choice."""
    began = time.perf_counter()
    engine.prepare()
    built = time.perf_counter() - began
    times = []
    for block in sorted(engine.blocks, key=lambda one: -len(one.ids))[:1]:
        places = np.linspace(0, len(block.ids) - 1, queries).astype(np.int64)
        for row in np.array(block.rows[places]):
            began = time.perf_counter()
            engine.search(row[None], 10)
            times.append(1e3 * (time.perf_counter() - began))
    found = replace(
        choice,
        build_s=round(built, 3),
        measured_ms=round(statistics.median(times), 4) if times else None,
        recall=round(measured_recall(engine), 4) if choice.engine == "hnsw" else 1.0,
    )
    log.info("codes: %s", found)
    return found


def random_distance(rows: int, bits: int, k: int = 10) -> int:
    """Give the distance of the k-th nearest of so many codes at random: where the nearest are farthest."""
    reached, wanted = 0.0, k / max(rows, 1)
    for distance in range(bits + 1):
        reached += math.exp(
            math.lgamma(bits + 1) - math.lgamma(distance + 1) - math.lgamma(bits - distance + 1) - bits * math.log(2)
        )
        if reached >= wanted:
            return distance
    return bits


def _scan(rows: int, bits: int, threads: int) -> Choice:
    size = rows * -(-bits // 8)
    rate = _KERNEL * threads if kernel.extension() is not None else _TWIN
    return Choice("scan", "", rows, bits, size, size / rate)


def _tables(rows: int, bits: int) -> Choice | None:
    if not can_index(rows, bits):
        return None
    count = tables_for(rows, bits)
    length = bits / count
    flips = random_distance(rows, bits) // count
    in_bucket = 1 + rows / 2**length
    looks = count * in_bucket * sum(math.comb(round(length), flip) for flip in range(flips + 1))
    return Choice("mih", "", rows, bits, rows * -(-bits // 8) + table_bytes(rows, bits), looks * _LOOK)


def _graph(rows: int, bits: int) -> Choice | None:
    if not has_faiss():
        return None
    engine = HNSWEngine(bits)
    size = rows * (2 * -(-bits // 8) + 8 * engine.links + _LINK_BYTES)
    return Choice("hnsw", "", rows, bits, size, 1e-4 * engine.effort * math.log2(max(2, rows)), recall=None)


def _named(engine: str, scan: Choice, tables: Choice | None, graph: Choice | None) -> Choice:
    if engine == "mih" and tables is None:
        raise EngineError(
            f"engine mih: cannot index {scan.rows:,} codes of {scan.bits} bits here",
            "it needs codes, and the kernel in C",
        )
    if engine == "hnsw" and graph is None:
        raise EngineError("engine hnsw: faiss is not installed", "pip install 'crossbit[faiss]'")
    found = {"scan": scan, "mih": tables, "hnsw": graph}[engine]
    assert found is not None
    return found


def _memory() -> int:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 8 << 30
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
