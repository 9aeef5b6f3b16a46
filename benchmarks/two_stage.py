"""Two stages against the exact dense scan: short list by codes, rescoring on int8 or float16 rows in a mapped file.

    python benchmarks/two_stage.py            1 M x 512 numbers: tables, results/search/two-stage.json, docs/two-stage.png
    python benchmarks/two_stage.py --rows 100000 --no-write
    python benchmarks/two_stage.py --json

Rows lie in clusters: each is one of `--centres` directions with as much noise again, so that its cosine with the direction is
0.71. Queries are drawn alike and are not among the rows. Codes are signs of random directions of the centred rows. The dense
scan is faiss's exact search over float32 with as many threads, or NumPy's product where faiss is not installed.

recall: of the 10 best of the exact dense answer. Times are milliseconds a query, asked one after the other: of each query the
fastest of the rounds, then the mean, so that what others on the machine take away counts little. memory: codes and ids in
memory against the float32 rows; the rows for rescoring stay in a file. Filters let through a share of the rows, drawn at
random; their recall is that of the exact answer among those rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.cascade import rerank
from crossbit.codes import pack
from crossbit.evaluation.compare import plot_lines
from crossbit.evaluation.machine import machine
from crossbit.evaluation.search_page import filters_table, put, two_stage_lines, two_stage_table
from crossbit.search.engines import FlatEngine, HammingEngine
from crossbit.search.engines.flat import quantise
from crossbit.search.engines.scan import Block
from crossbit.search.query import EXACT_WHERE

K = 10
CHUNK = 1 << 16
GOAL = (512, 1000)
"""Bits and candidates of the claim: recall 0.98 or more, an eighth of the memory or less, 15 times the speed or more."""


@dataclass
class Data:
    """Rows, queries, the exact answer, and files of the same rows to be rescored."""

    rows: np.ndarray
    queries: np.ndarray
    best: np.ndarray
    folder: Path


def drawn(count: int, width: int, centres: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Draw unit rows around the centres."""
    rows = draw.standard_normal((count, width), dtype=np.float32)
    for start in range(0, count, CHUNK):
        part = rows[start : start + CHUNK]
        part += centres[draw.integers(0, len(centres), len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def dense(rows: np.ndarray, threads: int) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """Give the exact dense search and its name."""
    try:
        import faiss
    except ImportError:
        return "NumPy", lambda queries: np.argsort(-(queries @ rows.T), axis=1)[:, :K]
    faiss.omp_set_num_threads(threads)  # what IndexFlatIP runs, without a second copy of the rows
    return "faiss", lambda queries: faiss.knn(queries, rows, K, metric=faiss.METRIC_INNER_PRODUCT)[1]


def prepare(args: argparse.Namespace, folder: Path) -> tuple[Data, np.ndarray]:
    """Draw everything and write the files."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((args.centres, args.width), dtype=np.float32)
    rows = drawn(args.rows, args.width, centres, draw)
    queries = drawn(args.queries, args.width, centres, draw)
    for precision in ("int8", "float16"):
        parts = [quantise(rows[start : start + CHUNK], precision) for start in range(0, len(rows), CHUNK)]
        np.save(folder / f"{precision}.npy", np.concatenate([held for held, _ in parts]))
        if precision == "int8":
            np.save(folder / "scales.npy", np.concatenate([scales for _, scales in parts if scales is not None]))
    return Data(rows, queries, np.empty(0), folder), draw.standard_normal(
        (args.width, max(args.bits)), dtype=np.float32
    )


def flat(data: Data, precision: str, ids: np.ndarray) -> FlatEngine:
    """Open the rows for rescoring: a memory map."""
    engine = FlatEngine(precision)  # type: ignore[arg-type]
    scales = np.load(data.folder / "scales.npy") if precision == "int8" else None
    engine.attach(Block(ids, np.load(data.folder / f"{precision}.npy", mmap_mode="r"), scales))
    return engine


def search(
    codes: HammingEngine,
    rows: FlatEngine,
    code: np.ndarray,
    query: np.ndarray,
    short: int,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Find the ten best of one query in two stages, as a collection does; where a filter leaves few, all are compared."""
    if mask is not None and np.count_nonzero(mask) <= EXACT_WHERE:
        return rows.search_among(query[None], K, [mask]).ids[0]
    found = codes.search_among(code[None], short, None if mask is None else [mask])
    return rerank(found, lambda _, ids: rows.score(query, ids), keep=K).ids[0]


def timed(work: Callable[[int], np.ndarray], count: int, rounds: int) -> tuple[np.ndarray, float]:
    """Ask all queries one after the other, and give the answers and the milliseconds a query."""
    took = np.full((max(1, rounds), count), np.inf)
    answers: list[np.ndarray] = []
    for done in range(max(1, rounds)):
        answers = []
        for n in range(count):
            began = time.perf_counter()
            answers.append(work(n))
            took[done, n] = time.perf_counter() - began
    return np.array(answers), 1e3 * float(took.min(axis=0).mean())


def recall(found: np.ndarray, best: np.ndarray) -> float:
    """Give the share of the best that was found."""
    return float(
        np.mean([len(np.intersect1d(a, b[b >= 0])) / max(1, (b >= 0).sum()) for a, b in zip(found, best, strict=True)])
    )


def forget(folder: Path) -> bool:
    """Have the system drop the files from memory, so that the next search reads the disk."""
    if not hasattr(os, "posix_fadvise"):
        return False
    os.sync()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything."""
    data, directions = prepare(args, folder)
    name, exact = dense(data.rows, args.threads)
    data.best = exact(data.queries)
    few = min(20, args.queries)
    _, dense_ms = timed(lambda n: exact(data.queries[n : n + 1])[0], few, args.rounds)
    ids = np.arange(args.rows, dtype=np.int64)
    mean = data.rows.mean(axis=0)
    relaxed = [(data.rows[start : start + CHUNK] - mean) @ directions for start in range(0, args.rows, CHUNK)]
    packed = np.concatenate([pack(part) for part in relaxed])
    del relaxed
    asked = pack((data.queries - mean) @ directions)
    curve, filters, cold = [], [], None
    for bits in args.bits:
        engine = HammingEngine(bits, args.threads)
        codes = np.ascontiguousarray(packed[:, : bits // 8])
        engine.attach(Block(ids, codes))
        for precision in ("int8", "float16") if bits == GOAL[0] else ("int8",):
            rows = flat(data, precision, ids)
            for short in args.candidates:
                found, ms = timed(
                    lambda n, e=engine, r=rows, b=bits, s=short: search(e, r, asked[n, : b // 8], data.queries[n], s),  # type: ignore[misc]
                    args.queries,
                    args.rounds,
                )
                curve.append(
                    {
                        "bits": bits, "candidates": short, "vectors": precision, "ms": round(ms, 4),
                        "recall": round(recall(found, data.best), 4), "times_faster": round(dense_ms / ms, 1),
                        "memory_share": round((codes.nbytes + ids.nbytes) / data.rows.nbytes, 4),
                    }
                )  # fmt: skip
        if bits == GOAL[0]:
            rows = flat(data, "int8", ids)
            filters = filtered(args, data, engine, rows, asked[:, : bits // 8])
            if forget(folder):
                _, cold = timed(
                    lambda n, e=engine, r=rows, b=bits: search(e, r, asked[n, : b // 8], data.queries[n], GOAL[1]),  # type: ignore[misc]
                    few,
                    1,
                )
    return {
        "rows": args.rows, "width": args.width, "centres": args.centres, "queries": args.queries, "k": K,
        "threads": args.threads, "dense": name, "dense_ms": round(dense_ms, 3), "curve": curve, "filters": filters,
        "first_reads_ms": None if cold is None else round(cold, 3),
    }  # fmt: skip


def filtered(
    args: argparse.Namespace, data: Data, engine: HammingEngine, rows: FlatEngine, asked: np.ndarray
) -> list[dict[str, Any]]:
    """Measure recall and time where only a share of the rows may be found."""
    draw, found = np.random.default_rng(1), []
    few = min(50, args.queries)
    for share in (0.01, 0.1, 0.5, 1.0):
        mask = draw.permutation(args.rows) < share * args.rows
        allowed = np.flatnonzero(mask)
        best = []
        for query in data.queries[:few]:
            scores = data.rows[allowed] @ query if share < 0.2 else (data.rows @ query)[allowed]
            best.append(allowed[np.argsort(-scores)[:K]])
        for short in (200, GOAL[1]):
            answers, ms = timed(
                lambda n, m=mask, s=short: search(engine, rows, asked[n], data.queries[n], s, m),
                few,
                args.rounds,  # type: ignore[misc]
            )
            found.append(
                {
                    "share": share,
                    "candidates": short,
                    "recall": round(recall(answers, np.array(best)), 4),
                    "ms": round(ms, 4),
                }
            )
    return found


def told(found: dict[str, Any]) -> str:
    """Write the tables."""
    lines = [
        f"{found['rows']:,} rows of {found['width']} numbers, {found['threads']} thread(s)",
        f"{found['dense']}: {found['dense_ms']:.1f} ms a query",
        f"{'bits':>5} {'short':>6} {'rows':>8} {'recall':>7} {'ms':>8} {'x faster':>9} {'memory':>7}",
    ]
    for p in found["curve"]:
        lines.append(
            f"{p['bits']:>5} {p['candidates']:>6} {p['vectors']:>8} {p['recall']:7.3f} {p['ms']:8.2f} "
            f"{p['times_faster']:9.1f} {p['memory_share']:7.1%}"
        )
    lines.append(f"{'filter':>7} {'short':>6} {'recall':>7} {'ms':>8}")
    lines += [f"{p['share']:>7.0%} {p['candidates']:>6} {p['recall']:7.3f} {p['ms']:8.2f}" for p in found["filters"]]
    if found["first_reads_ms"] is not None:
        lines.append(f"with the rows not yet read from the disk: {found['first_reads_ms']:.1f} ms a query")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--centres", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument(
        "--bits", type=lambda text: [int(word) for word in text.split(",")], default=[64, 128, 256, 512, 1024]
    )
    parser.add_argument(
        "--candidates",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[50, 100, 200, 500, 1000, 2000],
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for the rows on the disk; else the system's temporary one")
    parser.add_argument("--out", type=Path, default=Path("results/search/two-stage.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/search.md"))
    parser.add_argument("--plot", type=Path, default=Path("docs/two-stage"))
    parser.add_argument("--no-write", action="store_true", help="only print")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    before = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        found = measure(args, Path(folder))
    about = {"command": " ".join(["python", *sys.argv]), "load": before, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    found = {**about, "machine": machine(), **found}
    print(json.dumps(found) if args.json else told(found))
    if not args.no_write:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")
        made = plot_lines(two_stage_lines(found), args.plot)
        put(args.page, "two stages", two_stage_table(found))
        put(args.page, "filters", filters_table(found))
        print(f"written: {args.out}, {args.page}, {', '.join(map(str, made))}", file=sys.stderr)


if __name__ == "__main__":
    main()
