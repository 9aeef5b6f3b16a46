"""Growth from ten thousand to a hundred million codes of 64 bits: what the scan, tables and graphs take.

    python benchmarks/scale.py            10^4 to 10^8; results/search/scale.json, docs/scale.md, docs/scale.png
    python benchmarks/scale.py --rows 10000,100000 --no-write
    python benchmarks/scale.py --json

Codes lie in clusters of fifty, each an eighth of its bits away from the middle; queries are drawn alike. Times are milliseconds
a query, asked one after the other: of each query the fastest of the rounds, then the mean; `scan, of 100` is a batch of a
hundred together. Tables are those of multi-index hashing, whose answers are compared with the scan's: the 10 nearest, and all
within 2 bits, which is how copies are found. Graphs (faiss) are made up to `--graphs` codes, since making one takes a minute a
million; recall is their share of codes as near as the exact ten. `auto` is what a collection would choose for ten milliseconds
a query.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.codes import hamming_topk
from crossbit.codes.multi import MultiIndex
from crossbit.evaluation.compare import plot_lines
from crossbit.evaluation.machine import machine
from crossbit.evaluation.search_page import cluster_table, put, scale_lines, scale_table
from crossbit.search.engines import HNSWEngine, choose
from crossbit.search.engines.hnsw import has_faiss
from crossbit.search.engines.scan import Block

BITS, K, RADIUS, BATCH, CHUNK = 64, 10, 2, 100, 1 << 20


def clustered(rows: int, middles: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Draw codes around the middles."""
    codes = np.empty((rows, BITS // 8), np.uint8)
    for start in range(0, rows, CHUNK):
        part = codes[start : start + CHUNK]
        noise = draw.integers(0, (1 << 64) - 1, (3, len(part)), dtype=np.uint64, endpoint=True)
        turned = np.bitwise_and.reduce(noise).view(np.uint8).reshape(part.shape)
        np.bitwise_xor(middles[draw.integers(0, len(middles), len(part))], turned, out=part)
    return codes


def timed(work: Callable[[np.ndarray], Any], queries: np.ndarray, rounds: int) -> tuple[list[Any], float]:
    """Ask queries one after the other, and give the answers and the milliseconds a query."""
    took = np.full((rounds, len(queries)), np.inf)
    answers: list[Any] = []
    for done in range(rounds):
        answers = []
        for n in range(len(queries)):
            began = time.perf_counter()
            answers.append(work(queries[n : n + 1]))
            took[done, n] = time.perf_counter() - began
    return answers, 1e3 * float(took.min(axis=0).mean())


def measure(rows: int, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one size."""
    draw = np.random.default_rng(rows)
    middles = draw.integers(0, 256, (max(1, rows // 50), BITS // 8), dtype=np.uint8)
    codes, queries = clustered(rows, middles, draw), clustered(BATCH, middles, draw)
    few = queries[: args.queries]
    exact, scan_ms = timed(lambda q: hamming_topk(q, codes, K, threads=args.threads), few, args.rounds)
    batch_s = min(_seconds(lambda: hamming_topk(queries, codes, K, threads=args.threads)) for _ in range(args.rounds))
    began = time.perf_counter()
    index = MultiIndex(codes)
    table_s = time.perf_counter() - began
    found, table_ms = timed(lambda q: index.topk(q, K), few, args.rounds)
    for one, other in zip(found, exact, strict=True):
        if not np.array_equal(one[0], other[0]):
            raise SystemExit(f"the tables give other answers than the scan at {rows:,}")
    near, within_ms = timed(lambda q: index.within(q, RADIUS), few, args.rounds)
    run = {
        "rows": rows, "bytes": codes.nbytes, "scan_ms": round(scan_ms, 5), "batch_ms": round(1e3 * batch_s / BATCH, 5),
        "tables": len(index.tables), "table_bytes": index.bytes, "table_s": round(table_s, 3),
        "table_ms": round(table_ms, 5), "scanned_after_all": index.given_up, "within_ms": round(within_ms, 5),
        "within_found": int(sum(len(pairs[0][0]) for pairs in near)), "auto": choose(rows, BITS).engine,
        "graph_ms": None, "graph_recall": None, "graph_s": None,
    }  # fmt: skip
    del index
    return {**run, **(graph(codes, few, exact, args) if rows <= args.graphs and has_faiss() else {})}


def graph(codes: np.ndarray, queries: np.ndarray, exact: Sequence[Any], args: argparse.Namespace) -> dict[str, Any]:
    """Measure a graph."""
    engine = HNSWEngine(BITS, args.threads, least=1)
    engine.attach(Block(np.arange(len(codes), dtype=np.int64), codes))
    began = time.perf_counter()
    engine.prepare()
    took = time.perf_counter() - began
    found, ms = timed(lambda q: engine.near(engine.blocks[0], q, K, None), queries, args.rounds)
    hits = np.mean([(one[1] <= other[1][:, -1:]).mean() for one, other in zip(found, exact, strict=True)])
    return {"graph_ms": round(ms, 5), "graph_recall": round(float(hits), 4), "graph_s": round(took, 2)}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--rows",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[10**power for power in range(4, 9)],
    )
    parser.add_argument(
        "--graphs", type=int, default=1_000_000, metavar="ROWS", help="largest set for which a graph is made"
    )
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/search/scale.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/scale.md"))
    parser.add_argument("--plot", type=Path, default=Path("docs/scale"))
    parser.add_argument("--no-write", action="store_true", help="only print")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    runs = []
    for rows in args.rows:
        runs.append(measure(rows, args))
        print(f"{rows:,} measured", file=sys.stderr, flush=True)
    unit = 1 if sys.platform == "darwin" else 1024
    record = {
        "command": " ".join(["python", *sys.argv]), "date": f"{datetime.now(UTC):%Y-%m-%d}", "load": load, "machine": machine(),
        "bits": BITS, "k": K, "radius": RADIUS, "threads": args.threads, "queries": args.queries,
        "peak_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "runs": runs,
    }  # fmt: skip
    print(json.dumps(record) if args.json else f"{scale_table(record)}\n{cluster_table(record)}")
    if not args.no_write:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")
        put(args.page, "the growth", scale_table(record))
        put(args.page, "the arithmetic", cluster_table(record))
        made = plot_lines(scale_lines(record), args.plot)
        print(f"written: {args.out}, {args.page}, {', '.join(map(str, made))}", file=sys.stderr)


if __name__ == "__main__":
    main()
