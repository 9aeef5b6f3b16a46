"""The kernel in C behind `hamming_topk`: which level this machine has, threads, and codes of any width.

`_hamming` is built with the package where a compiler is; without it the only level is "numpy". Rows are shared among threads,
each of which reads its part of the codes once for all queries with the interpreter's lock released.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import ModuleType

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from crossbit.errors import EngineError

_NUMBERS = {"plain": 0, "avx2": 1, "avx512": 2, "neon": 3}
_WIDEST = 2048
"""Bytes of the widest code that the kernel takes; wider ones go to NumPy."""
_ROWS = 1 << 20
"""Rows that are filled up to whole words at a time, for codes whose width is none."""
_FEW = 32
"""Where fewer than one row in so many is allowed, those rows are gathered first."""
_QUERIES = 256
"""Queries that pass over the codes together; more would push one another's answers out of the cache."""


@lru_cache(maxsize=1)
def extension() -> ModuleType | None:
    """Give the compiled module, or None where the package was built without a compiler."""
    try:
        from crossbit.codes import _hamming  # type: ignore[attr-defined]
    except ImportError:
        return None
    found: ModuleType = _hamming
    return found


def levels() -> tuple[str, ...]:
    """Name the levels of this machine, the fastest first; "numpy" is always there."""
    built = extension()
    if built is None:
        return ("numpy",)
    best = next(name for name, number in _NUMBERS.items() if number == built.level())
    below = ("avx2",) if best == "avx512" else ()
    return (best, *below, *(() if best == "plain" else ("plain",)), "numpy")


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
    allowed: Int64[np.ndarray, " A"] | None,
    threads: int,
    level: str,
    far: int,
    stop: UInt8[np.ndarray, " 1"] | None,
) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
    """Find the k nearest by the kernel; see `hamming_topk`, which has checked the arguments.

    Raises:
        EngineError: the search was stopped.
    """
    numbers = None
    if allowed is not None and len(allowed) * _FEW < len(codes):
        codes, numbers, allowed = codes[allowed], allowed, None
    bitmap = None if allowed is None else _bitmap(allowed, len(codes))
    rows = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), far, np.int32)
    for top in range(0, len(queries), _QUERIES):
        part = slice(top, top + _QUERIES)
        found = _search(_words(queries[part]), codes, min(k, len(codes)), bitmap, threads, level, far - 1, stop)
        rows[part, : found[0].shape[1]], distances[part, : found[0].shape[1]] = found
    distances[rows < 0] = far
    if numbers is not None:
        rows = np.where(rows < 0, -1, numbers[rows]) if len(numbers) else rows
    return rows, distances


def _search(
    queries: np.ndarray,
    codes: np.ndarray,
    k: int,
    bitmap: np.ndarray | None,
    threads: int,
    level: str,
    widest: int,
    stop: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    if not k or not len(queries):
        return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.int32)
    whole = codes.shape[1] % 8 == 0 and codes.flags.c_contiguous and codes.ctypes.data % 8 == 0
    size = len(codes) if whole else min(len(codes), _ROWS)
    size = min(size, _round_up(-(-len(codes) // max(1, threads))))
    starts = range(0, len(codes), size)

    def run(start: int) -> tuple[np.ndarray, np.ndarray]:
        end = min(start + size, len(codes))
        if whole:  # a view: memory maps are read in place
            return _nearest(queries, codes, start, end, min(k, end - start), bitmap, level, widest, stop)
        part = None if bitmap is None else bitmap[start // 8 : -(-end // 8)]
        found, distances = _nearest(
            queries, _words(codes[start:end]), 0, end - start, min(k, end - start), part, level, widest, stop
        )
        return np.where(found < 0, -1, found + start), distances

    if threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(run, starts))
    else:
        parts = [run(start) for start in starts]
    return _merged(parts, k)


def _nearest(
    queries: np.ndarray,
    codes: np.ndarray,
    first: int,
    last: int,
    k: int,
    bitmap: np.ndarray | None,
    level: str,
    widest: int,
    stop: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.int32)
    built = extension()
    if built is None:
        raise EngineError("hamming_topk: the kernel is not built here", "use level numpy")
    words = queries.shape[1] // 8
    stopped = built.nearest(
        queries, len(queries), codes, first, last, words, k, widest, bitmap, stop, _NUMBERS[level], rows, distances
    )
    if stopped:
        raise EngineError("hamming_topk: stopped")
    return rows, distances


def _merged(parts: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Join the answers of parts of the rows; parts ascend, so a stable sort by distance keeps ties in order."""
    if len(parts) == 1:
        return parts[0]
    rows, distances = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


def _words(codes: np.ndarray) -> np.ndarray:
    """Fill codes up to whole 64-bit words; bytes that are added are zero on both sides and count nothing."""
    padding = -codes.shape[1] % 8
    filled = np.pad(codes, ((0, 0), (0, padding))) if padding else codes
    return np.ascontiguousarray(filled)


def _bitmap(allowed: np.ndarray, rows: int) -> np.ndarray:
    mask = np.zeros(rows, bool)
    mask[allowed] = True
    return np.packbits(mask, bitorder="little")


def _round_up(rows: int) -> int:
    """Parts begin at whole bytes of the bitmap."""
    return max(8, -(-rows // 8) * 8)
