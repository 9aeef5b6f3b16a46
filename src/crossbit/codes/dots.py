"""Dot products of a query with some rows of many, read where they lie: what rescoring a short list costs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from crossbit.codes import kernel

_KINDS = {"int8": 0, "float16": 1, "float32": 2}


def dots_at(
    rows: Shaped[np.ndarray, "N E"],
    places: Int64[np.ndarray, " M"],
    query: Float32[np.ndarray, " E"],
    scales: Float32[np.ndarray, " N"] | None = None,
) -> Float32[np.ndarray, " M"]:
    """Give the dot products of a query with the rows at some places.

    Sums are made in double precision, each row's in the same order, so that equal rows have equal scores wherever they lie. By
    the kernel in C the rows are read in place, from a memory map too; without it they are gathered first.

    Args:
        rows: int8, float16 or float32.
        places: row numbers, in any order.
        query: as wide as a row.
        scales: what each row is multiplied with, for int8.
    """
    built = kernel.extension()
    readable = rows.dtype.name in _KINDS and rows.flags.c_contiguous and rows.shape[1] > 0
    if built is not None and readable and len(places):
        sums = np.empty(len(places), np.float64)
        asked, at = np.ascontiguousarray(query, np.float64), np.ascontiguousarray(places)
        built.dots(rows, len(rows), rows.shape[1], _KINDS[rows.dtype.name], at, asked, sums)
    else:
        sums = (rows[places].astype(np.float64) * query).sum(axis=1)
    if scales is not None:
        sums *= scales[places]
    found: np.ndarray = sums.astype(np.float32)
    return found
