"""The only door to LanceDB: the table that holds every item ever committed, until `compact`.

One row a view, the picture's with everything that is known of the item: texts, metadata, tombstone, embedding, code. Searching
does not come here, it reads segments (docs/decisions/0003-collection-store.md).
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossbit.errors import CollectionError
from crossbit.search.arrow import FILE_FIELDS
from crossbit.search.durable import Receipt, sync_folder
from crossbit.search.head import Meta
from crossbit.search.metadata import dump, load
from crossbit.search.records import VIEWS, Record

_TABLE = "items"
_MUTABLE = "latest_version_hint.json"  # a hint that the store rewrites in place; it works without


class Table:
    """The LanceDB table of a collection, as it was at a commit.

    Args:
        folder: of the database.
        meta: what the collection was made with.
        version: of the last commit; whatever came after it is undone. 0 starts anew.
        known: files that have a receipt.
    """

    def __init__(self, folder: Path, meta: Meta, version: int, known: set[str]) -> None:
        import lancedb

        self.folder, self.meta = folder / f"{_TABLE}.lance", meta
        if not version:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self._undo(known)
        database = lancedb.connect(str(folder))
        if not version:
            self._table: Any = database.create_table(_TABLE, schema=self.schema)
        else:
            try:
                self._table = database.open_table(_TABLE)
            except ValueError as error:
                raise CollectionError(
                    f"{self.folder}: missing or damaged, expected the store of the collection"
                ) from error
            if self._table.version != version:  # an older crossbit was killed: its log does not tell what is in the way
                self._table.restore(version)
        self._known = known

    def _undo(self, known: set[str]) -> None:
        """Remove what was written after the last commit.

        It may be anything: after a power cut an empty file, which the store would take for its latest version.
        """
        for name, path in self._files().items():
            if name not in known:
                path.unlink()
        (self.folder / "_versions" / _MUTABLE).unlink(missing_ok=True)

    @property
    def version(self) -> int:
        """Give the version of the store, which the commit names."""
        return int(self._table.version)

    @property
    def _precision(self) -> np.dtype[Any]:
        """Give the type of embeddings here: at least as fine as those that are searched."""
        return np.dtype(np.float32 if self.meta.vectors == "float32" else np.float16)

    @cached_property
    def schema(self) -> pa.Schema:
        """Give the columns of the table."""
        fields = [
            ("row", pa.int64()),
            ("id", pa.int64()),
            ("view", pa.int32()),
            ("text", pa.string()),
            *FILE_FIELDS,
            ("metadata", pa.string()),
            ("deleted_at", pa.timestamp("us")),
        ]
        if self.meta.dim:
            fields.append(("embedding", pa.list_(pa.from_numpy_dtype(self._precision), self.meta.dim)))
        if self.meta.bits:
            fields.append(("code", pa.list_(pa.uint8(), -(-self.meta.bits // 8))))
        return pa.schema(fields)

    def write(self, records: Sequence[Record], known: Sequence[int], removed: np.ndarray) -> None:
        """Put items in, replacing known ones, and lay tombstones."""
        for portion in _portions(known):
            self._table.delete(f"id IN ({portion})")
        if records:
            self._table.add(self._rows(records))
        now = datetime.now(UTC).replace(tzinfo=None)
        for portion in _portions(removed.tolist()):
            self._table.update(where=f"id IN ({portion})", values={"deleted_at": now})

    def squeeze(self) -> None:
        """Drop tombstones and join fragments; older versions stay."""
        self._table.delete("deleted_at IS NOT NULL")
        self._table.optimize(cleanup_older_than=timedelta(days=36_500))

    def forget_versions(self) -> None:
        """Remove the files of every version but the last."""
        with warnings.catch_warnings():  # it warns of other readers; ours do not read the store
            warnings.simplefilter("ignore")
            self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
        self._known = set()

    def fresh(self) -> dict[str, Receipt]:
        """Measure the files that were written since this was last asked, and force them to the disk."""
        files = self._files()
        fresh = {name: Receipt.of(files[name], sync=True) for name in sorted(set(files) - self._known)}
        for folder in {files[name].parent for name in fresh}:
            sync_folder(folder)
        self._known |= set(fresh)
        return fresh

    def _files(self) -> dict[str, Path]:
        paths = (Path(folder) / name for folder, _, names in os.walk(self.folder) for name in names if name != _MUTABLE)
        return {path.relative_to(self.folder.parent.parent).as_posix(): path for path in paths}

    def _rows(self, records: Sequence[Record]) -> pa.Table:
        views = [(record, view) for record in records for view in range(1 + len(record.captions))]
        columns: dict[str, list[Any]] = {name: [] for name in self.schema.names if name not in ("embedding", "code")}
        for record, view in views:
            picture = view == 0
            columns["row"].append(record.id * VIEWS + view)
            columns["id"].append(record.id)
            columns["view"].append(view)
            columns["text"].append(None if picture else record.captions[view - 1])
            for name in ("key", "sha256", "size", "mtime_ns", "from_folder", "sidecar"):
                columns[name].append(getattr(record, name) if picture else None)
            columns["metadata"].append(dump(record.metadata) if picture else None)
            columns["deleted_at"].append(None)
        arrays = {name: pa.array(values, self.schema.field(name).type) for name, values in columns.items()}
        if self.meta.dim:
            rows = np.concatenate([r.embedding for r in records if r.embedding is not None]).astype(self._precision)
            arrays["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), self.meta.dim)
        if self.meta.bits:
            codes = np.concatenate([r.code for r in records if r.code is not None])
            arrays["code"] = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
        return pa.table(arrays, schema=self.schema)


def read_version(folder: Path, meta: Meta, version: int, portion: int = 4096) -> Iterator[Record]:
    """Give the living items of a version of the store, by ascending id.

    Args:
        folder: of the database.
        meta: what the collection was made with.
        version: of the table.
        portion: items read at a time.

    Raises:
        CollectionError: the store is damaged, or that version is not there any more.
    """
    import lancedb

    try:
        table = lancedb.connect(str(folder)).open_table(_TABLE)
        table.checkout(version)
        living = "deleted_at IS NULL"
        columns = table.search().where(f"{living} AND view = 0").select(["id"]).limit(None).to_arrow()
        ids = np.sort(columns.column("id").combine_chunks().to_numpy(zero_copy_only=False))
        for start in range(0, len(ids), portion):
            some = ids[start : start + portion]
            span = f"{living} AND id >= {some[0]} AND id <= {some[-1]}"
            rows = table.search().where(span).limit(None).to_arrow()
            yield from _records(rows, meta)
    except (ValueError, RuntimeError, OSError) as error:
        first = str(error).splitlines()[0][:200]
        raise CollectionError(f"{folder}: version {version} cannot be read ({first})") from error


def _records(rows: pa.Table, meta: Meta) -> Iterator[Record]:
    """Put rows together to items."""
    if not rows.num_rows:
        return
    rows = rows.take(pa.array(np.argsort(rows.column("row").combine_chunks().to_numpy(zero_copy_only=False))))
    held = {
        name: rows.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(rows.num_rows, -1)
        for name, wanted in (("embedding", meta.dim), ("code", meta.bits))
        if wanted
    }
    plain = {name: rows.column(name).to_pylist() for name in rows.schema.names if name not in held}
    starts = [place for place, view in enumerate(plain["view"]) if view == 0]
    for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        span = slice(start, end)
        yield Record(
            id=plain["id"][start],
            **{name: plain[name][start] for name in ("key", "sha256", "size", "mtime_ns", "from_folder", "sidecar")},
            captions=tuple(plain["text"][start + 1 : end]),
            metadata=load(plain["metadata"][start]),
            embedding=held["embedding"][span].astype(np.float32) if meta.dim else None,
            code=held["code"][span] if meta.bits else None,
        )


def _portions(ids: Sequence[int]) -> Iterator[str]:
    """Give ids for SQL, a thousand at a time."""
    for start in range(0, len(ids), 1000):
        yield ", ".join(str(int(number)) for number in ids[start : start + 1000])
