"""A collection on a Milvus server beside the same one here: how fast rows are brought, and what a question takes.

    python benchmarks/milvus.py milvus://127.0.0.1:19530 --rows 100000

Rows are drawn at random around a thousand centres. Times are medians; both sides answer in the same process, one after the
other, and every answer is compared. `--page docs/scale.md` writes the table there and the figures beside the others in
results/. The load of the machine is told, since a server's answers are late by whatever else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.codes import pack
from crossbit.evaluation.machine import machine
from crossbit.evaluation.search_page import put
from crossbit.search import Collection, far
from crossbit.search.exchange import Portion, Source

DIM, BITS, K, QUESTIONS = 64, 64, 10, 9


def drawn(rows: int, seed: int = 0) -> Source:
    """Give random items: unit rows near a centre, the signs of a projection as codes, a year each."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((1000, DIM)).astype(np.float32)
    projection = random.standard_normal((DIM, BITS)).astype(np.float32)

    def portions() -> Iterator[Portion]:
        for start in range(0, rows, 20_000):
            count = min(20_000, rows - start)
            near = centres[random.integers(0, 1000, count)] + 0.5 * random.standard_normal((count, DIM), np.float32)
            unit = near / np.linalg.norm(near, axis=1, keepdims=True)
            keys = [b"row-%09d" % number for number in range(start, start + count)]
            facts = [{"year": 1900 + number % 100} for number in range(count)]
            yield Portion(keys, [()] * count, facts, unit, pack(unit @ projection))

    return Source(Path("drawn"), rows, DIM, BITS, portions())


def median(call: Callable[[int], Any]) -> float:
    """Give the median milliseconds of a call over all questions."""
    times = []
    for number in range(QUESTIONS):
        began = time.perf_counter()
        call(number)
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def measure(url: str, rows: int) -> dict[str, Any]:
    """Measure one size."""
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.import_from(drawn(rows), Path(folder) / "collection")
        here = collection.snapshot
        rng = np.random.default_rng(1)
        items = rng.integers(0, rows, QUESTIONS)
        held = [here.embeddings(int(item)) for item in items]
        asked = [(dense[:1], codes[:1]) for dense, codes in held if dense is not None and codes is not None]
        began = time.perf_counter()
        collection.use_engine(url)
        brought = time.perf_counter() - began
        try:
            there = collection.snapshot
            far.FEW = 0
            found = []
            for name, kind, where in (
                ("codes", "codes", None),
                ("embeddings", "vectors", None),
                ("codes where year > 1990", "codes", "year > 1990"),
            ):
                allow = None if where is None else here.allowed(where)
                rows_of = [pair[kind == "codes"] for pair in asked]
                local, remote = here.over(kind, where), there.over(kind, where)  # type: ignore[arg-type]
                same = sum(
                    bool((local.search_among(row, K, allow).ids == remote.search_among(row, K, allow).ids).all())
                    for row in rows_of
                )
                one = {"what": name, "same": same, "of": QUESTIONS}
                one["here_ms"] = median(lambda n, e=local, r=rows_of, a=allow: e.search_among(r[n], K, a))
                one["there_ms"] = median(lambda n, e=remote, r=rows_of, a=allow: e.search_among(r[n], K, a))
                settled, far.SETTLED_SECONDS = far.SETTLED_SECONDS, -1.0
                one["settled_ms"] = median(lambda n, e=remote, r=rows_of, a=allow: e.search_among(r[n], K, a))
                far.SETTLED_SECONDS = settled
                found.append(one)
        finally:
            collection.use_engine("auto")
    return {
        "rows": rows,
        "dim": DIM,
        "bits": BITS,
        "bring_s": brought,
        "rows_per_s": rows / brought,
        "load": round(os.getloadavg()[1], 1),
        "questions": found,
    }


def table(result: dict[str, Any]) -> str:
    """Write the table of a page."""
    lines = [
        f"{result['rows']:,} rows of {result['bits']} bits and {result['dim']} numbers were brought at "
        f"{result['rows_per_s']:,.0f} a second, both tables together. Medians of {QUESTIONS} questions; {result['load']:.0f} "
        "programs wanted the processors meanwhile, so the server's times are upper bounds.",
        "",
        "| ten answers of | here, ms | server, ms | server, a minute after the last change, ms | same answers |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {q['what']} | {q['here_ms']:.2f} | {q['there_ms']:.1f} | {q['settled_ms']:.1f} | {q['same']} of {q['of']} |"
        for q in result["questions"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--page", type=Path, help="where the table is written; the figures go to --results")
    parser.add_argument("--results", type=Path, default=Path("results/search/milvus.json"))
    asked = parser.parse_args()
    result = {"command": f"python benchmarks/milvus.py URL --rows {asked.rows}", **measure(asked.url, asked.rows)}
    print(table(result))
    if asked.page:
        put(asked.page, "the server", table(result) + "\n")
        asked.results.parent.mkdir(parents=True, exist_ok=True)
        asked.results.write_text(json.dumps({**result, "machine": machine()}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
