"""items.parquet: who the rows of a NumPy, faiss or usearch export belong to; with the rows in it, the Parquet export itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossbit.errors import CollectionError
from crossbit.search.arrow import FILE_FIELDS
from crossbit.search.exchange.base import Portion, Source, counts_of
from crossbit.search.metadata import dump, load
from crossbit.search.records import Record
from crossbit.search.snapshot import Snapshot

NAME = "items.parquet"
FACTS = ("sha256", "size", "mtime_ns", "from_folder", "sidecar")
_FIELDS: list[tuple[str, pa.DataType]] = [
    ("id", pa.int64()),
    ("path", pa.string()),
    ("captions", pa.list_(pa.string())),
    ("metadata", pa.string()),
    *FILE_FIELDS,
]


def schema(snapshot: Snapshot, *, rows: bool) -> pa.Schema:
    """Give the columns; the schema also tells which model made the rows, and what keys are relative to.

    Args:
        snapshot: of the collection.
        rows: whether embeddings and codes are in the table.
    """
    meta, fields = snapshot.meta, list(_FIELDS)
    if rows and meta.dim:
        one = pa.list_(pa.float32(), meta.dim)
        fields += [("embedding", one), ("caption_embeddings", pa.list_(one))]
    if rows and meta.bits:
        fields += [("code", pa.binary()), ("caption_codes", pa.list_(pa.binary()))]
    told = {
        "crossbit.format": "1",
        "crossbit.model": meta.model,
        "crossbit.reference": meta.reference,
        "crossbit.fingerprint": meta.fingerprint,
        "crossbit.dim": str(meta.dim),
        "crossbit.bits": str(meta.bits),
        "crossbit.items": str(len(snapshot)),
        "crossbit.root": "" if snapshot.root is None else os.fspath(snapshot.root),
    }
    return pa.schema(fields).with_metadata(told)


def table_of(snapshot: Snapshot, records: Sequence[Record], found: pa.Schema) -> pa.Table:
    """Lay items out as a table."""
    columns: dict[str, list[Any]] = {
        "id": [record.id for record in records],
        "path": [_text(snapshot.path(record.key)) for record in records],
        "captions": [list(record.captions) for record in records],
        "metadata": [dump(record.metadata) for record in records],
        **{name: [getattr(record, name) for record in records] for name in ("key", *FACTS)},
    }
    if "embedding" in found.names:
        rows = [record.embedding for record in records if record.embedding is not None]
        columns["embedding"] = [row[0] for row in rows]
        columns["caption_embeddings"] = [list(row[1:]) for row in rows]
    if "code" in found.names:
        codes = [record.code for record in records if record.code is not None]
        columns["code"] = [row[0].tobytes() for row in codes]
        columns["caption_codes"] = [[one.tobytes() for one in row[1:]] for row in codes]
    return pa.table({name: pa.array(columns[name], found.field(name).type) for name in found.names}, schema=found)


def _text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class ItemsWriter:
    """Writes `items.parquet` portion by portion."""

    def __init__(self, path: Path, snapshot: Snapshot, *, rows: bool = False) -> None:
        import pyarrow.parquet as pq

        self.snapshot, self.schema = snapshot, schema(snapshot, rows=rows)
        self._writer = pq.ParquetWriter(path, self.schema)

    def write(self, records: Sequence[Record]) -> None:
        """Write some items."""
        self._writer.write_table(table_of(self.snapshot, records, self.schema))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def told_of(path: Path) -> dict[str, str]:
    """Give what the schema of an export tells; empty for a table of somebody else's.

    Raises:
        CollectionError: it is no Parquet file.
    """
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise CollectionError(f"{path}: not a Parquet file ({str(error).splitlines()[0][:100]})") from error
    return {
        key.decode().removeprefix("crossbit."): value.decode()
        for key, value in metadata.items()
        if key.startswith(b"crossbit.")
    }


def source_of(path: Path, items: Path, portions: Iterator[Portion]) -> Source:
    """Give the source of an export of ours, from its `items.parquet`."""
    told = told_of(items)
    return Source(
        path,
        int(told["items"]),
        int(told["dim"]),
        int(told["bits"]),
        portions,
        told["root"],
        {name: told[name] for name in ("model", "reference", "fingerprint")},
    )


def read_items(path: Path, columns: Sequence[str] | None = None, portion: int = 8192) -> Iterator[pa.RecordBatch]:
    """Give the batches of a Parquet file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(portion, columns=columns)


def portion_of(batch: pa.RecordBatch, embeddings: np.ndarray | None, codes: np.ndarray | None) -> Portion:
    """Give items of an export with their rows, which stand in the same order."""
    plain = {name: batch.column(name).to_pylist() for name in ("id", "captions", "metadata", "key", *FACTS)}
    captions = [tuple(texts) for texts in plain["captions"]]
    facts = [{name: plain[name][place] for name in FACTS} for place in range(len(captions))]
    ids = np.asarray(plain["id"], np.int64)
    metadata = [load(text) for text in plain["metadata"]]
    return Portion(plain["key"], captions, metadata, embeddings, codes, ids, facts)


def portions_with(items: Path, embeddings: np.ndarray | None, codes: np.ndarray | None) -> Iterator[Portion]:
    """Give the items of an export whose rows lie beside, in the order of the table.

    Raises:
        CollectionError: there are more or fewer rows than the items say.
    """
    done = 0
    for batch in read_items(items):
        rows = int(counts_of(batch.column("captions").to_pylist()).sum())
        span = slice(done, done + rows)
        for name, array in (("embeddings", embeddings), ("codes", codes)):
            if array is not None and len(array) < done + rows:
                raise CollectionError(f"{items}: needs more than the {len(array):,} {name} beside it")
        yield portion_of(
            batch,
            None if embeddings is None else np.asarray(embeddings[span], np.float32),
            None if codes is None else np.asarray(codes[span], np.uint8),
        )
        done += rows
