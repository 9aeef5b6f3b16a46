"""Exact Hamming search against faiss, usearch and the bound that memory sets: milliseconds a query, and ratios.

    python benchmarks/hamming.py                    64 to 1,024 bits, one query and batches of 200; results/search/hamming.json
    python benchmarks/hamming.py --cases 1000000x64,10000000x64 --batch 1
    python benchmarks/hamming.py --level avx2       another level of the kernel; also plain, numpy
    python benchmarks/hamming.py --json --no-write     one JSON object instead of the table

All contestants run in one process on the same random codes, by turns, with the same number of threads; what is printed is the
fastest of the rounds, so that what others on the machine take away counts little, and the file has the medians too. All have to
give the same distances. The bound is the kernel's own loop that reads the codes and does nothing with them, with as many
threads: no exact search can be faster for one query. Peers that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.codes import hamming_topk, kernel
from crossbit.evaluation.machine import machine
from crossbit.evaluation.search_page import hamming_table, put

K = 10
CASES = (
    *((1_000_000, bits) for bits in (64, 128, 192, 256, 512, 1024)),
    *((10_000_000, bits) for bits in (64, 128, 256, 512)),
)
SLOW_PAIRS = 2_500_000_000
"""Queries times rows times words from which on fewer rounds are enough."""
Search = Callable[[np.ndarray], np.ndarray]
"""Packed queries in, distances (Q, K) out."""


def crossbit(codes: np.ndarray, threads: int, level: str) -> Search:
    """Give our search."""
    return lambda queries: hamming_topk(queries, codes, K, threads=threads, level=level)[1]


def faiss(codes: np.ndarray, threads: int) -> Search:
    """Give IndexBinaryFlat."""
    import faiss as library

    library.omp_set_num_threads(threads)
    index = library.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    return lambda queries: index.search(queries, K)[0]


def usearch(codes: np.ndarray, threads: int) -> Search:
    """Give usearch's exact search."""
    from usearch.index import MetricKind, search

    def run(queries: np.ndarray) -> np.ndarray:
        found = search(codes, queries, K, MetricKind.Hamming, exact=True, threads=threads, dtype="b1")
        return np.asarray(found.distances).reshape(len(queries), -1)

    return run


def bound(codes: np.ndarray, threads: int) -> Callable[[], object]:
    """Read all codes once."""
    if kernel.extension() is None:
        return lambda: np.bitwise_or.reduce(codes.reshape(-1).view(np.uint64))
    return lambda: kernel.read(codes, threads)


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(codes: np.ndarray, batch: int, args: argparse.Namespace, level: str) -> dict[str, Any]:
    """Time all contestants by turns, and give the milliseconds a query of each."""
    rows, bits = len(codes), 8 * codes.shape[1]
    queries = np.random.default_rng(1).integers(0, 256, (batch, codes.shape[1]), dtype=np.uint8)
    contestants: dict[str, Search] = {"crossbit": crossbit(codes, args.threads, level)}
    missing = []
    for name, make in (("faiss", faiss), ("usearch", usearch)):
        if name == "usearch" and rows * batch > 2_000_000:
            continue  # seconds a query; the smallest size says enough
        try:
            contestants[name] = make(codes, args.threads)
        except ImportError:
            missing.append(name)
    expected = None
    for name, search in contestants.items():  # the first call also warms up
        found = np.sort(search(queries), axis=1).astype(np.int64)
        if expected is not None and not np.array_equal(found, expected):
            raise SystemExit(f"{name} gives other distances at {rows:,} x {bits}")
        expected = found
    read = bound(codes, args.threads)
    rounds = 3 if rows * batch * bits // 64 > SLOW_PAIRS else args.rounds
    times: dict[str, list[float]] = {name: [] for name in (*contestants, "bound")}
    for turn in range(rounds):
        times["bound"].append(seconds(read))
        for name, search in contestants.items():
            if name == "usearch" and turn:  # a hundred times slower: once is enough
                continue
            times[name].append(seconds(lambda search=search: search(queries)))  # type: ignore[misc]

    def each(pick: Callable[[list[float]], float]) -> dict[str, float]:
        return {n: round(1e3 * pick(found) / (1 if n == "bound" else batch), 5) for n, found in times.items()}

    return {
        "rows": rows, "bits": bits, "batch": batch, "ms_a_query": each(min), "median_ms": each(statistics.median),
        "missing": missing,
    }  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """Write one line of the table."""
    ms = row["ms_a_query"]
    peers = " ".join(f"{ms[name]:8.3f}" if name in ms else f"{'-':>8}" for name in ("faiss", "usearch"))
    over = f"{ms['crossbit'] / ms['bound']:7.2f}" if row["batch"] == 1 else f"{'':>7}"
    gain = f"{ms['faiss'] / ms['crossbit']:8.1f}" if "faiss" in ms else f"{'-':>8}"
    what = f"{row['rows']:>11,} {row['bits']:>5} {row['batch']:>5}"
    return f"{what} {ms['bound']:8.3f} {ms['crossbit']:8.3f} {peers} {over} {gain}"


def cases(text: str) -> list[tuple[int, int]]:
    """Read sizes as they are written: 1000000x64,1000000x128."""
    return [(int(rows), int(bits)) for rows, _, bits in (word.partition("x") for word in text.split(","))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=cases, default=list(CASES), metavar="ROWSxBITS,...")
    parser.add_argument("--batch", type=lambda text: [int(word) for word in text.split(",")], default=[1, 200])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--level", default="auto", help=", ".join(kernel.levels()))
    parser.add_argument("--out", type=Path, default=Path("results/search/hamming.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/search.md"))
    parser.add_argument("--no-write", action="store_true", help="only print")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    level = kernel.chosen(args.level, 8)
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    if not args.json:
        print(
            f"level {level}, {args.threads} thread(s), k = {K}, load {load}; ms a query, and how many times ours is faster"
        )
        heads = " ".join(f"{head:>8}" for head in ("bound", "ours", "faiss", "usearch"))
        print(f"{'rows':>11} {'bits':>5} {'batch':>5} {heads} {'/bound':>7} {'x faiss':>8}", flush=True)
    found = []
    for rows, bits in args.cases:
        codes = np.random.default_rng(0).integers(0, 256, (rows, bits // 8), dtype=np.uint8)
        for batch in args.batch:
            if batch > 1 and rows * bits > 10_000_000 * 256:
                continue  # minutes of faiss
            found.append(measure(codes, batch, args, level))
            if not args.json:
                print(line(found[-1]), flush=True)
    record = {
        "command": " ".join(["python", *sys.argv]), "date": f"{datetime.now(UTC):%Y-%m-%d}", "load": load,
        "machine": machine(), "level": level, "threads": args.threads, "k": K, "runs": found,
    }  # fmt: skip
    missing = sorted({name for row in found for name in row["missing"]})
    if args.json:
        print(json.dumps(record))
    elif missing:
        print(f"not installed and left out: {', '.join(missing)}")
    if not args.no_write:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")
        put(args.page, "the Hamming scan", hamming_table(record))
        print(f"written: {args.out}, {args.page}", file=sys.stderr)


if __name__ == "__main__":
    main()
