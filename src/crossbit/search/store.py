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
from crossbit.search.durable import Receipt
from crossbit.search.head import Meta
from crossbit.search.metadata import dump
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
            if self._table.version != version:
                self._table.restore(version)
        self._known = known

    @property
    def version(self) -> int:
        """Give the version of the store, which the commit names."""
        return int(self._table.version)

    @cached_property
    def schema(self) -> pa.Schema:
        """Give the columns of the table."""
        fields = [
            ("row", pa.int64()),
            ("id", pa.int64()),
            ("view", pa.int32()),
            ("text", pa.string()),
            ("key", pa.binary()),
            ("sha256", pa.binary()),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("from_folder", pa.bool_()),
            ("sidecar", pa.binary()),
            ("metadata", pa.string()),
            ("deleted_at", pa.timestamp("us")),
        ]
        if self.meta.dim:
            fields.append(("embedding", pa.list_(pa.float16(), self.meta.dim)))
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
            rows = np.concatenate([r.embedding for r in records if r.embedding is not None]).astype(np.float16)
            arrays["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), self.meta.dim)
        if self.meta.bits:
            codes = np.concatenate([r.code for r in records if r.code is not None])
            arrays["code"] = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
        return pa.table(arrays, schema=self.schema)


def _portions(ids: Sequence[int]) -> Iterator[str]:
    """Give ids for SQL, a thousand at a time."""
    for start in range(0, len(ids), 1000):
        yield ", ".join(str(int(number)) for number in ids[start : start + 1000])
