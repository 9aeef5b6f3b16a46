"""Exact Hamming search against faiss, usearch and the bound that memory sets: milliseconds a query, and ratios.

    python benchmarks/hamming.py                       1 M and 10 M codes of 64 to 1,024 bits, one query and batches of 200
    python benchmarks/hamming.py --rows 1000000 --bits 64,128
    python benchmarks/hamming.py --level avx2          another level of the kernel; also plain, numpy
    python benchmarks/hamming.py --json                one JSON object instead of the table

All contestants run in one process on the same random codes, by turns, with the same number of threads; what is printed is the
median of the rounds. All have to give the same distances. The bound is a plain sum over the codes with the same number of
threads: no exact search can read them faster. Peers that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from crossbit.codes import hamming_topk, kernel

K = 10
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
    from concurrent.futures import ThreadPoolExecutor

    words = codes.reshape(-1).view(np.uint64)
    parts = np.array_split(words, threads)
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(np.bitwise_or.reduce, parts))


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(rows: int, bits: int, batch: int, threads: int, level: str, rounds: int) -> dict[str, Any]:
    """Time all contestants by turns, and give the median milliseconds a query of each."""
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 256, (rows, bits // 8), dtype=np.uint8)
    queries = draw.integers(0, 256, (batch, bits // 8), dtype=np.uint8)
    contestants: dict[str, Search] = {"crossbit": crossbit(codes, threads, level)}
    missing = []
    for name, make in (("faiss", faiss), ("usearch", usearch)):
        if name == "usearch" and rows * batch > 2_000_000:
            continue  # seconds a query; the smallest size says enough
        try:
            contestants[name] = make(codes, threads)
        except ImportError:
            missing.append(name)
    expected = None
    for name, search in contestants.items():  # the first call also warms up
        found = np.sort(search(queries), axis=1).astype(np.int64)
        if expected is not None and not np.array_equal(found, expected):
            raise SystemExit(f"{name} gives other distances at {rows:,} x {bits}")
        expected = found
    read = bound(codes, threads)
    times: dict[str, list[float]] = {name: [] for name in (*contestants, "bound")}
    for _ in range(rounds):
        times["bound"].append(seconds(read))
        for name, search in contestants.items():
            times[name].append(seconds(lambda search=search: search(queries)))  # type: ignore[misc]
    median = {name: 1e3 * statistics.median(found) for name, found in times.items()}
    row = {name: value / (1 if name == "bound" else batch) for name, value in median.items()}
    return {"rows": rows, "bits": bits, "batch": batch, "ms_a_query": row, "missing": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", default="1000000,10000000")
    parser.add_argument("--bits", default="64,128,256,512,1024")
    parser.add_argument("--batch", default="1,200")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", default="auto", help=", ".join(kernel.levels()))
    parser.add_argument("--most-bytes", type=int, default=2_000_000_000, help="larger sets are left out")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    level = kernel.chosen(args.level, 8)
    found = []
    if not args.json:
        print(f"level {level}, {args.threads} thread(s), k = {K}; ms a query, and how many times ours is faster")
        heads = " ".join(f"{head:>8}" for head in ("bound", "ours", "faiss", "usearch"))
        print(f"{'rows':>11} {'bits':>5} {'batch':>5} {heads} {'/bound':>7} {'x faiss':>8}")
    for rows in (int(word) for word in args.rows.split(",")):
        for bits in (int(word) for word in args.bits.split(",")):
            if rows * bits // 8 > args.most_bytes:
                print(f"{rows:>11,} {bits:>5}: {rows * bits // 8:,} bytes, left out by --most-bytes", file=sys.stderr)
                continue
            for batch in (int(word) for word in args.batch.split(",")):
                row = measure(rows, bits, batch, args.threads, level, args.rounds)
                found.append(row)
                if args.json:
                    continue
                ms = row["ms_a_query"]
                peers = " ".join(f"{ms[name]:8.3f}" if name in ms else f"{'-':>8}" for name in ("faiss", "usearch"))
                over = f"{ms['crossbit'] / ms['bound']:7.2f}" if batch == 1 else f"{'':>7}"
                gain = f"{ms['faiss'] / ms['crossbit']:8.1f}" if "faiss" in ms else f"{'-':>8}"
                print(
                    f"{rows:>11,} {bits:>5} {batch:>5} {ms['bound']:8.3f} {ms['crossbit']:8.3f} {peers} {over} {gain}"
                )
    missing = sorted({name for row in found for name in row["missing"]})
    if args.json:
        print(json.dumps({"level": level, "threads": args.threads, "k": K, "runs": found}))
    elif missing:
        print(f"not installed and left out: {', '.join(missing)}")


if __name__ == "__main__":
    main()
