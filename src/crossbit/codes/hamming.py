"""Hamming distances, exact top-k and radius search on packed codes: by the kernel in C where it was built, else by NumPy.

The twin in NumPy works block by block on 64-bit words counted with `numpy.bitwise_count`. Both give the same rows
in the same order, ties by ascending row; the twin is the truth that the kernel is tested against, and what runs without it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt8, UInt16, UInt64

from crossbit.codes import kernel
from crossbit.errors import EngineError

MAX_BITS = 16_376
"""A distance must fit the upper 14 bits of a 32-bit key."""

_KEY_ROW_BITS = 18  # rows of one block in a key; the other 14 bits hold the distance
_BLOCK_PAIRS = 1 << 22  # pairs held at once: 8 MB of distances, 16 MB of keys
_CACHE_PAIRS = 1 << 14  # pairs worked on at once: their words stay in the second-level cache
_FEW_QUERIES = 8  # fewer do not pay for turning the words of the items around


def words(codes: UInt8[np.ndarray, "N W"]) -> UInt64[np.ndarray, "N V"]:
    """Read packed codes as 64-bit words: a view where the width is a multiple of 8 bytes, else a zero-filled copy."""
    padding = -codes.shape[1] % 8
    if padding:
        codes = np.pad(codes, ((0, 0), (0, padding)))
    return np.ascontiguousarray(codes).view(np.uint64)


def hamming_block(
    a: UInt64[np.ndarray, "Q V"], b: UInt64[np.ndarray, "N V"], out: UInt16[np.ndarray, "Q N"] | None = None
) -> UInt16[np.ndarray, "Q N"]:
    """Count the differing bits of every pair of word rows, as the smallest integers that hold them.

    Args:
        a: from `words`.
        b: from `words`.
        out: where to write, to spare the allocation.
    """
    result = np.empty((len(a), len(b)), np.uint16) if out is None else out
    turned = b.T if len(a) < _FEW_QUERIES else np.ascontiguousarray(b.T)  # (V, N)
    columns = max(1, min(len(b), _CACHE_PAIRS))
    rows = max(1, _CACHE_PAIRS // columns)
    differing = np.empty((rows, columns), np.uint64)
    counts = np.empty((rows, columns), np.uint8)
    for left in range(0, len(b), columns):
        right = min(left + columns, len(b))
        for top in range(0, len(a), rows):
            bottom = min(top + rows, len(a))
            target = result[top:bottom, left:right]
            target[...] = 0
            part, count = differing[: bottom - top, : right - left], counts[: bottom - top, : right - left]
            for word in range(a.shape[1]):
                np.bitwise_xor(a[top:bottom, word, None], turned[None, word, left:right], out=part)
                np.bitwise_count(part, out=count)
                target += count
    return result


def hamming_distances(a: UInt8[np.ndarray, "Q W"], b: UInt8[np.ndarray, "N _"]) -> Int32[np.ndarray, "Q N"]:
    """Give the number of differing bits of every pair of packed codes.

    The whole matrix is made; for galleries beyond memory use `hamming_topk`.

    Raises:
        EngineError: widths differ, or something is not packed uint8.
    """
    _check("hamming_distances", a, b)
    return hamming_block(words(a), words(b)).astype(np.int32)


def hamming_topk(
    queries: UInt8[np.ndarray, "Q W"],
    codes: UInt8[np.ndarray, "N _"],
    k: int,
    *,
    allow: Shaped[np.ndarray, " M"] | None = None,
    threads: int = 1,
    level: str = "auto",
    stop: UInt8[np.ndarray, " 1"] | None = None,
) -> tuple[Int64[np.ndarray, "Q k"], Int32[np.ndarray, "Q k"]]:
    """Find for each query the k nearest codes, exactly; among equals the lower row comes first.

    Works in blocks, so memory grows with Q * k and not with Q * N.

    Args:
        queries: packed codes.
        codes: packed codes of the gallery.
        k: how many, 1 or more. Where fewer rows exist or are allowed, the rest is row -1 at distance 8 * W + 1.
        allow: the rows that may be found: a mask of N booleans, or row numbers in any order.
        threads: how many share the codes; the NumPy twin takes one.
        level: of `kernel.levels()`, or "auto" for the fastest.
        stop: set it to 1 from another thread, and the search ends early with `EngineError`.

    Returns:
        Rows and distances, nearest first.

    Raises:
        EngineError: widths differ, k is below 1, codes are wider than 16,376 bits, `allow` does not fit, there is no such level
            here, or the search was stopped.
    """
    _check("hamming_topk", queries, codes)
    if k < 1:
        raise EngineError(f"hamming_topk: k is {k}, expected 1 or more")
    far = 8 * queries.shape[1] + 1
    if (chosen := kernel.chosen(level, codes.shape[1])) != "numpy":
        some = mask_or_rows(allow, len(codes), "hamming_topk")
        return kernel.topk(queries, codes, k, some, threads, chosen, far, stop)
    allowed = allowed_rows(allow, len(codes), "hamming_topk")
    total = len(codes) if allowed is None else len(allowed)
    asked = words(queries)
    block = max(1, min(total, 1 << _KEY_ROW_BITS))
    group = max(1, _BLOCK_PAIRS // block)
    best = np.full((len(queries), k), _far(queries.shape[1]), np.int64)
    for start in range(0, total, block):
        if stop is not None and stop[0]:
            raise EngineError("hamming_topk: stopped")
        end = min(start + block, total)
        part = words(codes[start:end] if allowed is None else codes[allowed[start:end]])
        numbers = np.arange(start, end) if allowed is None else allowed[start:end]
        for top in range(0, len(asked), group):
            near = _nearest_of_block(hamming_block(asked[top : top + group], part), k, numbers)
            merged = np.concatenate([best[top : top + group], near], axis=1)
            best[top : top + group] = np.sort(merged, axis=1)[:, :k]
    rows = np.where(best == _far(queries.shape[1]), -1, best & _ROW_MASK)
    return rows, (best >> _ROW_BITS).astype(np.int32)


def hamming_within(
    queries: UInt8[np.ndarray, "Q W"],
    codes: UInt8[np.ndarray, "N _"],
    radius: int,
    *,
    allow: Shaped[np.ndarray, " M"] | None = None,
    threads: int = 1,
    level: str = "auto",
    stop: UInt8[np.ndarray, " 1"] | None = None,
) -> list[tuple[Int64[np.ndarray, " n"], Int32[np.ndarray, " n"]]]:
    """Find for each query all codes that differ in at most `radius` bits, exactly.

    Args:
        queries: packed codes.
        codes: packed codes of the gallery.
        radius: differing bits, 0 or more; from 8 * W on it finds everything.
        allow: the rows that may be found: a mask of N booleans, or row numbers in any order.
        threads: how many share the codes; the NumPy twin takes one.
        level: of `kernel.levels()`, or "auto" for the fastest.
        stop: set it to 1 from another thread, and the search ends early with `EngineError`.

    Returns:
        Rows and distances of each query, nearest first, equal ones by ascending row.

    Raises:
        EngineError: as `hamming_topk`, or the radius is negative.
    """
    _check("hamming_within", queries, codes)
    if radius < 0:
        raise EngineError(f"hamming_within: radius is {radius}, expected 0 or more")
    widest = 8 * queries.shape[1]
    radius = min(radius, widest)
    if (chosen := kernel.chosen(level, codes.shape[1])) != "numpy":
        some = mask_or_rows(allow, len(codes), "hamming_within")
        return kernel.within(queries, codes, radius, some, threads, chosen, widest, stop)
    allowed = allowed_rows(allow, len(codes), "hamming_within")
    total = len(codes) if allowed is None else len(allowed)
    asked, size = words(queries), max(1, _BLOCK_PAIRS // max(1, len(queries)))
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in queries]
    for start in range(0, total, size):
        if stop is not None and stop[0]:
            raise EngineError("hamming_within: stopped")
        numbers = np.arange(start, min(start + size, total)) if allowed is None else allowed[start : start + size]
        distances = hamming_block(asked, words(codes[numbers]))
        for query, row in enumerate(distances):
            near = np.flatnonzero(row <= radius)
            found[query].append((numbers[near], row[near].astype(np.int32)))
    answers = []
    for parts in found:
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in parts)])
        far = np.concatenate([np.empty(0, np.int32), *(distances for _, distances in parts)])
        order = np.argsort(far, kind="stable")
        answers.append((rows[order], far[order]))
    return answers


_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


def _far(width: int) -> int:
    """Give the key of "no row": behind every real one."""
    return (8 * width + 1) << _ROW_BITS


def _nearest_of_block(
    distances: UInt16[np.ndarray, "Q N"], k: int, numbers: Int64[np.ndarray, " N"]
) -> Int64[np.ndarray, "Q k2"]:
    """Give the keys (distance, row) of the k nearest in a block, in no order.

    Distance and place go into one integer, so that no two keys are equal and a partition leaves no choice among ties.
    """
    keys = distances.astype(np.uint32) << np.uint32(_KEY_ROW_BITS)
    keys |= np.arange(distances.shape[1], dtype=np.uint32)
    if k < keys.shape[1]:
        keys.partition(k - 1, axis=1)
        keys = keys[:, :k]
    distance = (keys >> np.uint32(_KEY_ROW_BITS)).astype(np.int64)
    place = keys & np.uint32((1 << _KEY_ROW_BITS) - 1)
    found: np.ndarray = (distance << _ROW_BITS) | numbers[place]
    return found


def mask_or_rows(allow: Shaped[np.ndarray, " M"] | None, rows: int, where: str) -> Shaped[np.ndarray, " A"] | None:
    """Give a mask as it is, and a list of rows as `allowed_rows` does; the kernel takes both.

    Raises:
        EngineError: as `allowed_rows`.
    """
    if allow is not None and allow.dtype == np.bool_ and allow.shape == (rows,):
        return allow
    return allowed_rows(allow, rows, where)


def allowed_rows(allow: Shaped[np.ndarray, " M"] | None, rows: int, where: str) -> Int64[np.ndarray, " A"] | None:
    """Turn a mask or a list of rows into ascending row numbers, each once; None stays None and means all.

    Raises:
        EngineError: the mask has another length, or a row does not exist.
    """
    if allow is None:
        return None
    if allow.dtype == np.bool_:
        if allow.shape != (rows,):
            raise EngineError(f"{where}: the mask `allow` has shape {allow.shape}, expected ({rows},)")
        return np.flatnonzero(allow)
    if allow.ndim != 1 or not np.issubdtype(allow.dtype, np.integer):
        if allow.size == 0:
            return np.empty(0, np.int64)
        raise EngineError(f"{where}: `allow` is {allow.dtype} of shape {allow.shape}, expected a mask or row numbers")
    numbers = np.unique(allow).astype(np.int64)
    if len(numbers) and (numbers[0] < 0 or numbers[-1] >= rows):
        wrong = int(numbers[0] if numbers[0] < 0 else numbers[-1])
        raise EngineError(f"{where}: `allow` names row {wrong}, expected 0 to {rows - 1}")
    return numbers


def _check(where: str, a: np.ndarray, b: np.ndarray) -> None:
    for name, codes in (("first", a), ("second", b)):
        if codes.ndim != 2 or codes.dtype != np.uint8:
            raise EngineError(
                f"{where}: the {name} codes are {codes.dtype} of shape {codes.shape}, expected uint8 (N, K/8)"
            )
    if a.shape[1] != b.shape[1]:
        raise EngineError(f"{where}: codes of {a.shape[1]} and of {b.shape[1]} bytes, expected the same width")
    if a.shape[1] == 0 or 8 * a.shape[1] > MAX_BITS:
        raise EngineError(f"{where}: codes of {8 * a.shape[1]} bits, expected 1 to {MAX_BITS}")
