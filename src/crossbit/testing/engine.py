"""check_engine: an index answers as a plain scan would, to the last tie."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import EngineError
from crossbit.ranking import Ranking
from crossbit.testing.failure import fail

WIDTH = {"float32": 32, "uint8": 8}
"""Numbers in a float row, bytes in a packed code."""

Rows = np.ndarray[Any, Any]


def check_engine(make: Callable[[], Any], *, seed: int = 0) -> tuple[str, ...]:
    """Try an engine on rows whose scores are exact in float32 and tie by the dozen.

    * row: says "float32" or "uint8", and refuses with `EngineError` rows of the other kind, of another width, or with NaN.
    * empty: an empty engine answers with padding.
    * exact: ids and scores are those of a scan in NumPy, equal scores by ascending id, for one query and for many.
    * k beyond size: short answers are padded with -1 and -inf at the end.
    * ids: refuses with `EngineError` an id that is held, stands twice or is negative, and keeps what it had.
    * remove: counts what it removed, ignores ids that it does not hold, and what is gone does not come back.
    * allow: only allowed ids are answered, also when there are none.
    * save and load: a loaded engine gives the same answers and can be added to.

    Args:
        make: gives an empty engine each time it is called; the class itself, if it takes no arguments.
        seed: of rows and ids.

    Returns:
        The names of the properties that were tried.

    Raises:
        PropertyFailed: a property does not hold; the message names it, what was found and what was expected.
    """
    for name, holds in PROPERTIES.items():
        holds(_Bench(make, name, np.random.default_rng(seed)))
    return tuple(PROPERTIES)


class _Bench:
    """An engine maker, the property being tried, and rows to try it with."""

    def __init__(self, make: Callable[[], Any], name: str, generator: np.random.Generator) -> None:
        self.make, self.name, self.random = make, name, generator
        self.kind = make().row
        if self.kind not in WIDTH:
            fail(make, "row", f"`row` is {self.kind!r}, expected 'float32' or 'uint8'")

    def rows(self, count: int) -> Rows:
        """Give unit vectors of four halves, or codes drawn from few: dot products are exact and many are equal."""
        if self.kind == "uint8":
            few = self.random.integers(0, 256, (max(1, count // 3), WIDTH["uint8"]), dtype=np.uint8)
            return few[self.random.integers(0, len(few), count)]
        rows = np.zeros((count, WIDTH["float32"]), dtype=np.float32)
        places = np.argsort(self.random.random(rows.shape), axis=1)[:, :4]
        np.put_along_axis(rows, places, self.random.choice(np.array([-0.5, 0.5], dtype=np.float32), (count, 4)), axis=1)
        return rows

    def ids(self, count: int) -> Rows:
        """Give ids out of order and with gaps, as a collection has them after deletions."""
        return self.random.permutation(np.arange(3, 3 + 7 * count, 7, dtype=np.int64))

    def filled(self, count: int = 300) -> tuple[Any, Rows, Rows]:
        """Make an engine and fill it in two portions."""
        engine, ids, rows = self.make(), self.ids(count), self.rows(count)
        half = count // 2
        engine.add(ids[:half], rows[:half])
        engine.add(ids[half:], rows[half:])
        return engine, ids, rows

    def expect(self, found: Ranking, queries: Rows, ids: Rows, rows: Rows, k: int, what: str) -> None:
        """Fail unless the answers are those of a plain scan."""
        best, scores = scan(queries, ids, rows, k)
        if found.ids.shape != best.shape:
            fail(self.make, self.name, f"{what}: ids have shape {found.ids.shape}, expected {best.shape}")
        for query in range(len(queries)):
            if not np.allclose(found.scores[query], scores[query], atol=1e-6):
                place = int(np.argmax(~np.isclose(found.scores[query], scores[query], atol=1e-6)))
                fail(
                    self.make,
                    self.name,
                    f"{what}: query {query} has score {found.scores[query, place]} at rank {place + 1}, "
                    f"expected {scores[query, place]}",
                )
            if not np.array_equal(found.ids[query], best[query]):
                place = int(np.argmax(found.ids[query] != best[query]))
                fail(
                    self.make,
                    self.name,
                    f"{what}: query {query} has id {found.ids[query, place]} at rank {place + 1}, expected "
                    f"{best[query, place]} (equal scores stand by ascending id)",
                )


def scan(queries: Rows, ids: Rows, rows: Rows, k: int) -> tuple[Rows, Rows]:
    """Give the k best by comparing everything with everything: the truth that engines are held to."""
    best = np.full((len(queries), k), -1, dtype=np.int64)
    best_scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for query, row in enumerate(queries):
        if rows.dtype == np.uint8:
            different = np.unpackbits(rows ^ row, axis=1).sum(axis=1)
            scores = 1.0 - 2.0 * different / (8.0 * rows.shape[1])
        else:
            scores = rows.astype(np.float64) @ row.astype(np.float64)
        order = np.lexsort((ids, -scores))[:k]
        best[query, : len(order)], best_scores[query, : len(order)] = ids[order], scores[order]
    return best, best_scores


def _refuses(bench: _Bench, call: Callable[[], object], what: str) -> None:
    """Fail unless the call raises `EngineError`."""
    try:
        call()
    except EngineError:
        return
    fail(bench.make, bench.name, f"takes {what}, expected EngineError")


def _refuses_other_rows(bench: _Bench) -> None:
    engine, _, rows = bench.filled()
    other = rows.astype(np.float32 if bench.kind == "uint8" else np.uint8)
    wrong = {f"{other.dtype} rows": other, f"rows {rows.shape[1] - 1} wide beside wider ones": rows[:, :-1]}
    if bench.kind == "float32":
        wrong["rows with NaN"] = np.full_like(rows, np.nan)
    for what, bad in wrong.items():
        _refuses(bench, partial(engine.add, np.array([1], dtype=np.int64), bad[:1]), f"{what} in `add`")
        _refuses(bench, partial(engine.search, bad[:1], 3), f"{what} in `search`")


def _refuses_wrong_ids(bench: _Bench) -> None:
    engine, ids, rows = bench.filled()
    for what, wrong in (("an id that is held", [1, ids[7]]), ("an id twice", [1, 1]), ("a negative id", [1, -4])):
        _refuses(bench, partial(engine.add, np.array(wrong, dtype=np.int64), rows[:2]), what)
    if len(engine) != len(ids):
        fail(bench.make, bench.name, f"`len` is {len(engine)} after refusing ids, expected {len(ids)} as before")
    queries = bench.rows(4)
    bench.expect(engine.search(queries, 400), queries, ids, rows, 400, "after refusing ids")


def _answers_empty(bench: _Bench) -> None:
    queries = bench.rows(2)
    found = bench.make().search(queries, 3)
    if found.ids.shape != (2, 3) or bool((found.ids != -1).any()):
        fail(bench.make, bench.name, f"an empty engine answers {found.ids.tolist()}, expected two rows of three -1")


def _answers_exactly(bench: _Bench) -> None:
    engine, ids, rows = bench.filled()
    queries = np.concatenate([bench.rows(6), rows[:3]])
    for k in (1, 10, 100):
        bench.expect(engine.search(queries, k), queries, ids, rows, k, f"k={k}")
    bench.expect(engine.search(queries[:1], 10), queries[:1], ids, rows, 10, "a single query")


def _pads_beyond_size(bench: _Bench) -> None:
    engine, ids, rows = bench.filled(5)
    queries = bench.rows(3)
    bench.expect(engine.search(queries, 9), queries, ids, rows, 9, "k=9 of five rows")


def _removes(bench: _Bench) -> None:
    engine, ids, rows = bench.filled()
    gone = np.concatenate([ids[10:120], [1, 2]])  # 1 and 2 were never added
    count = engine.remove(gone.astype(np.int64))
    if count != 110:
        fail(
            bench.make,
            bench.name,
            f"removing 110 ids that it holds and two that it does not gives {count}, expected 110",
        )
    if len(engine) != len(ids) - 110:
        fail(
            bench.make,
            bench.name,
            f"`len` is {len(engine)} after removing 110 of {len(ids)}, expected {len(ids) - 110}",
        )
    kept = np.r_[0:10, 120 : len(ids)]
    queries = np.concatenate([bench.rows(4), rows[10:12]])
    bench.expect(engine.search(queries, 400), queries, ids[kept], rows[kept], 400, "after removing")
    if (count := engine.remove(gone.astype(np.int64))) != 0:
        fail(bench.make, bench.name, f"removing the same ids again gives {count}, expected 0")
    engine.add(ids[10:20], rows[20:30])
    ids, rows = np.concatenate([ids[kept], ids[10:20]]), np.concatenate([rows[kept], rows[20:30]])
    bench.expect(engine.search(queries, 50), queries, ids, rows, 50, "after adding removed ids with new rows")


def _allows(bench: _Bench) -> None:
    engine, ids, rows = bench.filled()
    queries = bench.rows(4)
    for count in (0, 1, 40):
        some = np.sort(ids[:count])
        allow = np.concatenate([some, [1]]).astype(np.int64) if count else some  # 1 was never added
        bench.expect(
            engine.search(queries, 12, allow=allow), queries, ids[:count], rows[:count], 12, f"{count} ids allowed"
        )


def _saves(bench: _Bench) -> None:
    engine, ids, rows = bench.filled()
    engine.remove(ids[:20])
    queries = bench.rows(4)
    with tempfile.TemporaryDirectory() as folder:
        engine.save(Path(folder))
        twin = bench.make().load(Path(folder))
        bench.expect(twin.search(queries, 400), queries, ids[20:], rows[20:], 400, "after loading")
        twin.add(ids[:20], rows[:20])
        bench.expect(twin.search(queries, 400), queries, ids, rows, 400, "after loading and adding")


PROPERTIES: dict[str, Callable[[_Bench], None]] = {
    "row": _refuses_other_rows,
    "empty": _answers_empty,
    "exact": _answers_exactly,
    "k beyond size": _pads_beyond_size,
    "ids": _refuses_wrong_ids,
    "remove": _removes,
    "allow": _allows,
    "save and load": _saves,
}
