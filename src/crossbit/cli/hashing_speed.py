"""What a scan costs at each length of code, against comparing float32 rows: bytes an item and milliseconds a query."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.codes.hamming import hamming_topk
from crossbit.evaluation.machine import machine
from crossbit.evaluation.result import now

WIDTH = 256
"""Numbers of the dense rows, as wide as the embeddings of the bench."""

QUERIES, NEAREST = 16, 10


def scan_times(bits: Sequence[int], items: int = 100_000, rounds: int = 7, seed: int = 0) -> dict[str, Any]:
    """Time the nearest of random rows: what is in them does not matter to a scan.

    Args:
        bits: lengths of codes.
        items: rows that are scanned.
        rounds: how often each is timed; the median counts.
        seed: of the rows.

    Returns:
        What stands in the file: `rows` with name, bytes and milliseconds, and what they were measured on.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for length in bits:
        width = -(-length // 8)
        codes = draw.integers(0, 256, (items, width), dtype=np.uint8)
        asked = codes[:QUERIES].copy()
        took = _median(lambda asked=asked, codes=codes: hamming_topk(asked, codes, NEAREST), rounds)  # type: ignore[misc]
        rows.append({"name": f"{length}-bit codes", "bytes": width, "milliseconds": took})
    dense = draw.standard_normal((items, WIDTH), dtype=np.float32)
    took = _median(lambda: _dense_nearest(dense[:QUERIES], dense), rounds)
    rows.append({"name": f"{WIDTH} numbers in float32", "bytes": 4 * WIDTH, "milliseconds": took})
    return {"items": items, "rounds": rounds, "queries": QUERIES, "rows": rows, "machine": machine(), "date": now()}


def write_speed(path: Path, bits: Sequence[int]) -> Path:
    """Time the lengths and write the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(scan_times(bits), indent=1) + "\n", encoding="utf-8")
    return path


def _dense_nearest(asked: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Give the nearest rows, one query at a time as a collection is asked."""
    found = []
    for query in asked:
        scores = rows @ query
        best = np.argpartition(-scores, NEAREST)[:NEAREST]
        found.append(best[np.argsort(-scores[best])])
    return np.stack(found)


def _median(run: Callable[[], Any], rounds: int) -> float:
    """Give milliseconds a query, the median of some rounds after one that is not counted."""
    run()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - began) / QUERIES)
    return round(statistics.median(taken), 4)
