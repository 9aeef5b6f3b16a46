"""Parquet: one file, a row an item, with `embedding` and `code` of the picture and those of its captions as lists.

Of somebody else's file: a column `embedding`, `embeddings`, `vector` or `emb` of numbers, a path as in caption tables, and
everything else as metadata.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossbit.errors import CollectionError
from crossbit.search.exchange.base import Portion, Source, plain_keys, unit_rows
from crossbit.search.exchange.items import ItemsWriter, portion_of, read_items, source_of, told_of
from crossbit.search.metadata import clean
from crossbit.search.snapshot import Snapshot
from crossbit.search.tables import PATH_FIELDS

EMBEDDING_FIELDS = ("embedding", "embeddings", "vector", "emb")


def write(snapshot: Snapshot, target: Path) -> list[str]:
    """Write a file."""
    items = ItemsWriter(target, snapshot, rows=True)
    for records in snapshot.records():
        items.write(records)
    items.close()
    return []


def read(path: Path, bits: int, names: Sequence[bytes] | None) -> Source:
    """Open an export of ours, or a table with a column of embeddings."""
    if told_of(path):
        return source_of(path, path, _ours(path))
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns, count = file.schema_arrow.names, file.metadata.num_rows
    field = next((name for name in EMBEDDING_FIELDS if name in columns), None)
    if field is None:
        raise CollectionError(f"{path}: has columns {columns}, expected one of {', '.join(EMBEDDING_FIELDS)}")
    first = next(iter(read_items(path, [field], 1)), None)
    dim = 0 if first is None or not first.num_rows else len(first.column(0)[0].as_py() or ())
    return Source(path, count, dim, 0, _theirs(path, field, dim, names))


def _ours(path: Path) -> Iterator[Portion]:
    for batch in read_items(path, portion=2048):
        rows: dict[str, np.ndarray | None] = {"embedding": None, "code": None}
        for name in rows:
            if name in batch.schema.names:
                first, more = batch.column(name).to_pylist(), batch.column(f"caption_{name}s").to_pylist()
                flat = [row for one, others in zip(first, more, strict=True) for row in (one, *others)]
                if name == "code":
                    rows[name] = np.frombuffer(b"".join(flat), np.uint8).reshape(len(flat), -1)
                else:
                    rows[name] = np.asarray(flat, np.float32)
        yield portion_of(batch, rows["embedding"], rows["code"])


def _theirs(path: Path, field: str, dim: int, names: Sequence[bytes] | None) -> Iterator[Portion]:
    done = 0
    for batch in read_items(path, portion=2048):
        rows = batch.column(field).to_pylist()
        wrong = next((place for place, row in enumerate(rows) if row is None or len(row) != dim), None)
        if wrong is not None:
            raise CollectionError(f"{path}: row {done + wrong} has no embedding of {dim} numbers")
        keys, metadata = _told(batch, field, plain_keys(names, done, done + len(rows)), path)
        yield Portion(keys, [()] * len(rows), metadata, unit_rows(np.asarray(rows), path), None)
        done += len(rows)


def _told(
    batch: pa.RecordBatch, field: str, names: list[bytes], path: Path
) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Give paths and metadata of a table's rows; captions are metadata, too, since they have no rows of their own."""
    columns = [name for name in batch.schema.names if name != field]
    where = next((name for name in PATH_FIELDS if name in columns), None)
    kept = [name for name in columns if name != where]
    records = batch.select(kept).to_pylist() if kept else [{} for _ in names]
    found = batch.column(where).to_pylist() if where else [None] * len(names)
    keys = [name if one is None else os.fsencode(str(one)) for one, name in zip(found, names, strict=True)]
    return keys, [clean(record, str(path)) for record in records]
