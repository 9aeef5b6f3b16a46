"""The kernel in C behind `hamming_topk`: which level this machine has, threads, and codes of any width.

`_hamming` is built with the package where a compiler is; without it the only level is "numpy". Rows are shared among threads,
each of which reads its part of the codes once for all queries with the interpreter's lock released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt8

from crossbit.codes.level import NUMBERS
from crossbit.codes.level import extension as extension
from crossbit.codes.level import levels as levels
from crossbit.errors import EngineError

_WIDEST = 2048
"""Bytes of the widest code that the kernel takes; wider ones go to NumPy."""
_ROWS = 1 << 20
"""Rows that are filled up to whole words at a time, for codes whose width is none."""
_FEW = 32
"""Where fewer than one row in so many is allowed, those rows are gathered first."""
_QUERIES = 256
"""Queries that pass over the codes together; more would push one another's answers out of the cache."""


def chosen(level: str, width: int) -> str:
    """Give the level to use for codes of so many bytes.

    Raises:
        EngineError: this machine has no such level.
    """
    there = levels()
    if level == "auto":
        return there[0] if width <= _WIDEST else "numpy"
    if level not in there:
        raise EngineError(f"hamming_topk: level {level!r}, this machine has {', '.join(there)}")
    if width > _WIDEST and level != "numpy":
        raise EngineError(f"hamming_topk: codes of {width} bytes, the kernel takes up to {_WIDEST}", "use level numpy")
    return level


def topk(
    queries: UInt8[np.ndarray, "Q W"],
    codes: UInt8[np.ndarray, "N W"],
    k: int,
    allowed: Shaped[np.ndarray, " A"] | None,
    threads: int,
    level: str,
    far: int,
    stop: UInt8[np.ndarray, " 1"] | None,
) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
    """Find the k nearest by the kernel; see `hamming_topk`, which has checked the arguments.

    Raises:
        EngineError: the search was stopped.
    """
    scan = _Scan(queries, codes, allowed, threads, level, far - 1, stop)
    rows = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), far, np.int32)
    if not len(scan.codes):
        return rows, distances
    k = min(k, len(scan.codes))
    for part in scan.groups():
        found = _merged(
            scan.over(part, lambda some, first, last, bitmap: scan.nearest(some, first, last, bitmap, k)), k
        )
        rows[part, : found[0].shape[1]], distances[part, : found[0].shape[1]] = found
    distances[rows < 0] = far
    return scan.numbered(rows), distances


def within(
    queries: UInt8[np.ndarray, "Q W"],
    codes: UInt8[np.ndarray, "N W"],
    radius: int,
    allowed: Shaped[np.ndarray, " A"] | None,
    threads: int,
    level: str,
    widest: int,
    stop: UInt8[np.ndarray, " 1"] | None,
) -> list[tuple[Int64[np.ndarray, " n"], Int32[np.ndarray, " n"]]]:
    """Find all within a radius by the kernel; see `hamming_within`, which has checked the arguments.

    Raises:
        EngineError: the search was stopped.
    """
    scan = _Scan(queries, codes, allowed, threads, level, widest, stop)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for part in scan.groups():
        parts = scan.over(part, lambda some, first, last, bitmap: scan.within(some, first, last, bitmap, radius))
        for pairs in zip(*parts, strict=True):
            rows, distances = (np.concatenate(side) for side in zip(*pairs, strict=True))
            order = np.argsort(distances, kind="stable") if len(pairs) > 1 else slice(None)
            found.append((scan.numbered(rows[order]), distances[order]))
    return found or [(np.empty(0, np.int64), np.empty(0, np.int32)) for _ in queries]


def read(codes: UInt8[np.ndarray, "N W"], threads: int = 1) -> None:
    """Read all codes once and do nothing with them: no exact search over them can take less time.

    Raises:
        EngineError: the kernel is not built here, or the codes are not whole 64-bit words in one piece.
    """
    found = built()
    if codes.shape[1] % 8 or not codes.flags.c_contiguous:
        raise EngineError(f"read: codes of {codes.shape[1]} bytes, expected rows of whole 64-bit words in one piece")
    if threads < 2:
        found.read(codes, 0, codes.size // 8)
        return
    edges = np.linspace(0, codes.size // 8, threads + 1).astype(np.int64).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(found.read, [codes] * threads, edges[:-1], edges[1:]))


_Given = TypeVar("_Given")
_Part = TypeVar("_Part")


class _Scan:
    """One search: queries and codes as the kernel reads them, cut into parts that threads share."""

    def __init__(
        self,
        queries: np.ndarray,
        codes: np.ndarray,
        allowed: np.ndarray | None,
        threads: int,
        level: str,
        widest: int,
        stop: np.ndarray | None,
    ) -> None:
        self.numbers = None
        if allowed is not None:
            count = int(np.count_nonzero(allowed)) if allowed.dtype == np.bool_ else len(allowed)
            if count * _FEW < len(codes):
                self.numbers = np.flatnonzero(allowed) if allowed.dtype == np.bool_ else allowed
                codes, allowed = codes[self.numbers], None
        self.bitmap = None if allowed is None else bitmap_of(allowed, len(codes))
        self.queries, self.codes, self.threads, self.level, self.widest = (
            whole_words(queries),
            codes,
            threads,
            level,
            widest,
        )
        self.stop = np.zeros(1, np.uint8) if stop is None else stop
        self.whole = codes.shape[1] % 8 == 0 and codes.flags.c_contiguous and codes.ctypes.data % 8 == 0

    def groups(self) -> list[slice]:
        """Cut the queries into groups that pass over the codes together."""
        return [slice(top, top + _QUERIES) for top in range(0, len(self.queries), _QUERIES)] if len(self.codes) else []

    def numbered(self, rows: np.ndarray) -> np.ndarray:
        """Give the rows of all codes, where only some were gathered."""
        return rows if self.numbers is None else np.where(rows < 0, -1, self.numbers[rows])

    def over(self, part: slice, work: Callable[[np.ndarray, int, int, np.ndarray | None], _Part]) -> list[_Part]:
        """Have a group of queries pass over all codes, in as many parts as there are threads, and give what each found."""
        queries = self.queries[part]
        size = len(self.codes) if self.whole else min(len(self.codes), _ROWS)
        size = min(size, _round_up(-(-len(self.codes) // max(1, self.threads))))
        starts = range(0, len(self.codes), size)

        def run(start: int) -> _Part:
            return work(queries, start, min(start + size, len(self.codes)), self.bitmap)

        return shared(run, starts, self.threads, self.stop)

    def nearest(
        self, queries: np.ndarray, first: int, last: int, bitmap: np.ndarray | None, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the k nearest of a part of the codes."""
        codes, begin, end, bitmap = self._part(first, last, bitmap)
        k = min(k, last - first)
        rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.int32)
        stopped = built().nearest(
            queries, len(queries), codes, begin, end, queries.shape[1] // 8, k, self.widest, bitmap, self.stop,
            NUMBERS[self.level], rows, distances,
        )  # fmt: skip
        if stopped:
            raise EngineError("hamming_topk: stopped")
        return np.where(rows < 0, -1, rows + (first - begin)), distances

    def within(
        self, queries: np.ndarray, first: int, last: int, bitmap: np.ndarray | None, radius: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Give all within a radius of a part of the codes."""
        codes, begin, end, bitmap = self._part(first, last, bitmap)
        found = built().within(
            queries, len(queries), codes, begin, end, queries.shape[1] // 8, radius, self.widest, bitmap, self.stop,
            NUMBERS[self.level],
        )  # fmt: skip
        if found is None:
            raise EngineError("hamming_within: stopped")
        return [(np.frombuffer(r, np.int64) + (first - begin), np.frombuffer(d, np.int32)) for r, d in found]

    def _part(self, first: int, last: int, bitmap: np.ndarray | None) -> tuple[np.ndarray, int, int, np.ndarray | None]:
        """Give codes as words with the rows to look at: all codes in place (memory maps too), or a part that is filled up."""
        if self.whole:
            return self.codes, first, last, bitmap
        part = None if bitmap is None else bitmap[first // 8 : -(-last // 8)]
        return whole_words(self.codes[first:last]), 0, last - first, part


def shared(
    run: Callable[[_Given], _Part], parts: Sequence[_Given], threads: int, stop: UInt8[np.ndarray, " 1"]
) -> list[_Part]:
    """Run parts in threads and give what each found; an interrupt stops all of them through the flag."""
    if threads < 2 or len(parts) < 2:
        return [run(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(run, parts))
        except BaseException:  # an interrupt reaches the main thread alone
            before, stop[0] = stop[0], 1
            pool.shutdown(cancel_futures=True)
            stop[0] = before
            raise


def built() -> ModuleType:
    """Give the compiled module.

    Raises:
        EngineError: the package was built without it.
    """
    found = extension()
    if found is None:
        raise EngineError("the Hamming kernel is not built here", "use level numpy")
    return found


def _merged(parts: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Join the answers of parts of the rows; parts ascend, so a stable sort by distance keeps ties in order."""
    if len(parts) == 1:
        return parts[0]
    rows, distances = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


def whole_words(codes: np.ndarray) -> np.ndarray:
    """Fill codes up to whole 64-bit words; bytes that are added are zero on both sides and count nothing."""
    padding = -codes.shape[1] % 8
    filled = np.pad(codes, ((0, 0), (0, padding))) if padding else codes
    return np.ascontiguousarray(filled)


def bitmap_of(allowed: np.ndarray, rows: int) -> np.ndarray:
    """Give a bit for every row, lowest bit first, set where it is allowed: from a mask, or from row numbers."""
    mask = allowed
    if allowed.dtype != np.bool_:
        mask = np.zeros(rows, bool)
        mask[allowed] = True
    return np.packbits(mask, bitorder="little")


def _round_up(rows: int) -> int:
    """Parts begin at whole bytes of the bitmap."""
    return max(8, -(-rows // 8) * 8)
