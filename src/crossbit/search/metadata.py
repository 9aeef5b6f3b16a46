"""Metadata of items: plain Python values with their types kept, as JSON for the store and as typed columns for filters."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from crossbit.errors import UsageError

Value = Any
"""bool, int, float, str, date, datetime, or a list or dict of such."""

KINDS: dict[str, pa.DataType] = {
    "flag": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
    "instant": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
"""Kinds of values. A name may hold several: `year` is a number in one file and text in another, and both are kept."""


def clean(metadata: Mapping[str, Any], where: str = "metadata") -> dict[str, Value]:
    """Give the metadata with plain Python values; what is missing (None, NaN) is left out.

    Raises:
        UsageError: a value is of a type that cannot be kept; the message names the field.
    """
    plain = {}
    for name, value in metadata.items():
        kept = _plain(value, f"{where}: field {name!r}")
        if kept is not None:
            plain[unbroken(str(name))] = kept
    return plain


def _plain(value: Any, where: str) -> Value:
    if hasattr(value, "item") and not isinstance(value, (str, list, dict)) and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a NumPy scalar
    if hasattr(value, "tolist"):
        value = value.tolist()
    match value:
        case bool() | None:
            return value
        case int():
            # beyond 64 bits a column cannot hold it, its digits can
            return int(value) if -(2**63) <= value < 2**63 else str(value)
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case str():
            return unbroken(value)
        case datetime():
            moment = datetime.fromisoformat(value.isoformat())  # of a subclass, such as pandas' Timestamp
            return moment if moment.tzinfo is None else moment.astimezone(UTC)
        case date():
            return date(value.year, value.month, value.day)
        case list() | tuple() | set() | frozenset():
            return [_plain(part, where) for part in value]
        case Mapping():
            return {unbroken(str(name)): _plain(part, where) for name, part in value.items()}
    raise UsageError(f"{where} is a {type(value).__name__}, expected text, a number, a date, true or false, or a list")


def unbroken(text: str) -> str:
    r"""Replace half surrogate pairs, which JSON can write as `\ud800` and UTF-8 cannot, by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def kind_of(value: Value) -> str:
    """Name the kind of a clean value."""
    match value:
        case bool():
            return "flag"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "text"
        case datetime():
            return "time" if value.tzinfo is None else "instant"
        case date():
            return "date"
    return "json"


def dump(metadata: Mapping[str, Value]) -> str:
    """Write clean metadata as JSON; dates become `{"@date": "2024-05-01"}` and `{"@time": ...}`, so that they come back."""
    return json.dumps(metadata, ensure_ascii=False, default=_tagged)


def load(text: str) -> dict[str, Value]:
    """Read what `dump` wrote."""
    found: dict[str, Value] = json.loads(text, object_hook=_untagged)
    return found


def _tagged(value: Any) -> dict[str, str]:
    return {"@time" if isinstance(value, datetime) else "@date": value.isoformat()}


def _untagged(found: dict[str, Any]) -> Any:
    try:
        if len(found) == 1 and isinstance(text := found.get("@date"), str):
            return date.fromisoformat(text)
        if len(found) == 1 and isinstance(text := found.get("@time"), str):
            return datetime.fromisoformat(text)
    except ValueError:
        return found  # somebody's own field of that name
    return found


def columns(rows: Sequence[Mapping[str, Value]]) -> dict[str, pa.Array]:
    """Lay clean metadata out as typed columns named `kind:name`, null where a row has no such value."""
    names: dict[str, None] = {}
    for row in rows:
        names.update((f"{kind_of(value)}:{name}", None) for name, value in row.items())
    laid = {}
    for column in names:
        kind, name = column.split(":", 1)
        values = (row.get(name) for row in rows)
        mine = [value if value is not None and kind_of(value) == kind else None for value in values]
        if kind == "json":
            mine = [None if value is None else dump(value) for value in mine]
        laid[column] = pa.array(mine, KINDS[kind])
    return laid


def rows_of(table: pa.Table | pa.RecordBatch, names: Iterable[str]) -> list[dict[str, Value]]:
    """Give the metadata of every row of a table back from its `kind:name` columns."""
    rows: list[dict[str, Value]] = [{} for _ in range(table.num_rows)]
    for column in names:
        kind, name = column.split(":", 1)
        for row, value in zip(rows, table.column(column).to_pylist(), strict=True):
            if value is not None:
                row[name] = load(value) if kind == "json" else value
    return rows


def printable(metadata: Mapping[str, Value]) -> dict[str, Any]:
    """Give metadata as JSON knows it: dates as ISO text."""
    done: dict[str, Any] = json.loads(json.dumps(metadata, default=lambda value: value.isoformat()))
    return done
