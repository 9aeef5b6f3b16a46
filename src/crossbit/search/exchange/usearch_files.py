"""usearch: `embeddings.usearch` (inner product, f32) and `codes.usearch` (hamming, b1) beside `items.parquet`.

Keys are row numbers, as faiss has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import CollectionError, UsageError
from crossbit.search.exchange.base import Source, plain_portions, row_ids
from crossbit.search.exchange.items import NAME, ItemsWriter, portions_with, read_items, source_of
from crossbit.search.records import VIEWS
from crossbit.search.snapshot import Snapshot


def write(snapshot: Snapshot, target: Path) -> list[str]:
    """Write a folder."""
    usearch, meta = _usearch(), snapshot.meta
    target.mkdir()
    items = ItemsWriter(target / NAME, snapshot)
    dense = usearch.Index(ndim=meta.dim, metric="ip", dtype="f32") if meta.dim else None
    binary = usearch.Index(ndim=8 * -(-meta.bits // 8), metric="hamming", dtype="b1") if meta.bits else None
    for records in snapshot.records():
        ids = row_ids(records).astype(np.uint64)
        if dense is not None:
            dense.add(ids, np.concatenate([record.embedding for record in records]))
        if binary is not None:
            binary.add(ids, np.ascontiguousarray(np.concatenate([record.code for record in records])))
        items.write(records)
    items.close()
    for name, index in (("embeddings", dense), ("codes", binary)):
        if index is not None:
            index.save(str(target / f"{name}.usearch"))
    return []


def read(path: Path, bits: int, names: Sequence[bytes] | None) -> Source:
    """Open a folder of ours, or one index file."""
    if path.is_dir():
        if not (path / NAME).is_file():
            raise CollectionError(f"{path}: no `{NAME}` in it", "name one index file")
        wanted = np.concatenate([_keys(batch) for batch in read_items(path / NAME, ["id", "captions"])])
        rows = {
            name: _rows(path / f"{name}.usearch", wanted)[0]
            for name in ("embeddings", "codes")
            if (path / f"{name}.usearch").exists()
        }
        return source_of(path, path / NAME, portions_with(path / NAME, rows.get("embeddings"), rows.get("codes")))
    rows_, keys = _rows(path, None)
    if names is None:
        names = [b"%d" % number for number in keys.tolist()]
    if rows_.dtype == np.uint8:
        return Source(path, len(rows_), 0, bits or 8 * rows_.shape[1], plain_portions(path, None, rows_, names))
    return Source(path, len(rows_), rows_.shape[1], 0, plain_portions(path, rows_, None, names))


def _keys(batch: Any) -> np.ndarray:
    ids, captions = batch.column("id").to_pylist(), batch.column("captions").to_pylist()
    return np.concatenate([one * VIEWS + np.arange(1 + len(texts)) for one, texts in zip(ids, captions, strict=True)])


def _rows(path: Path, wanted: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Give the vectors or codes of an index, in the order of the keys that are wanted, or of all keys."""
    usearch = _usearch()
    try:
        index = usearch.Index.restore(str(path))
    except Exception as error:  # it throws what its C++ throws
        index, cause = None, error
    if index is None or not len(index):
        raise CollectionError(f"{path}: not an index that usearch reads, empty or damaged") from (
            cause if index is None else None
        )
    keys = np.sort(np.asarray(index.keys)) if wanted is None else wanted.astype(np.uint64)
    rows = index.get(keys)
    if rows is None or any(row is None for row in rows):
        raise CollectionError(f"{path}: lacks rows that `{NAME}` names")
    return np.asarray(rows), keys.astype(np.int64)


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise UsageError("usearch is not installed", "pip install usearch") from error
    return usearch.index
