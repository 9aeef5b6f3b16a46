"""Arrow columns to NumPy and back through their buffers.

`pa.array`, `pa.scalar` and `to_numpy` import pandas where it is installed, which costs a cold search half a second; nothing
here does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

FILE_FIELDS: list[tuple[str, pa.DataType]] = [
    ("key", pa.binary()),
    ("sha256", pa.binary()),
    ("size", pa.int64()),
    ("mtime_ns", pa.int64()),
    ("from_folder", pa.bool_()),
    ("sidecar", pa.binary()),
]
"""What every table of items says of an item's file."""

_EPOCH = datetime(1970, 1, 1)


def integers(column: pa.Array | pa.ChunkedArray) -> Int64[np.ndarray, " N"]:
    """Give a column of int32 or int64 without nulls."""
    array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    dtype = np.dtype(np.int32 if array.type == pa.int32() else np.int64)
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)
    return values.astype(np.int64, copy=False)


def booleans(array: pa.Array) -> Bool[np.ndarray, " N"]:
    """Give a column of truth values, null as False."""
    known, values = array.buffers()
    found = _bits(values, array)
    return found if known is None else found & _bits(known, array)


def _bits(buffer: pa.Buffer, array: pa.Array) -> Bool[np.ndarray, " N"]:
    packed = np.frombuffer(buffer, np.uint8)
    bits = np.unpackbits(packed, count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].astype(bool)


def column_of(values: Int64[np.ndarray, " N"]) -> pa.Array:
    """Give int64 numbers as a column."""
    data = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [None, pa.py_buffer(data)])


def scalar(value: bool | int | float | str | datetime) -> pa.Scalar:
    """Give one value as Arrow compares it: int64, float64, text, or microseconds in UTC."""
    one: tuple[pa.DataType, list[Any]]
    match value:
        case bool():
            one = pa.bool_(), [bytes([value])]
        case int() if -(2**63) <= value < 2**63:
            one = pa.int64(), [np.array([value], np.int64)]
        case int() | float():
            one = pa.float64(), [np.array([value], np.float64)]
        case str():
            data = value.encode("utf-8", "replace")
            one = pa.string(), [np.array([0, len(data)], np.int32), data]
        case datetime():
            plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            one = pa.timestamp("us"), [np.array([(plain - _EPOCH) // timedelta(microseconds=1)], np.int64)]
    kind, buffers = one
    return pa.Array.from_buffers(kind, 1, [None, *(pa.py_buffer(buffer) for buffer in buffers)])[0]
