"""faiss: `embeddings.faiss` (IndexFlatIP) and `codes.faiss` (IndexBinaryFlat), each with ids, beside `items.parquet`.

Read is any index that gives its vectors back: the flat ones, with or without ids, and others after `make_direct_map`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import CollectionError, UsageError
from crossbit.search.exchange.base import Source, plain_portions, row_ids
from crossbit.search.exchange.items import NAME, ItemsWriter, portions_with, source_of
from crossbit.search.snapshot import Snapshot


def write(snapshot: Snapshot, target: Path) -> list[str]:
    """Write a folder."""
    faiss, meta = _faiss(), snapshot.meta
    target.mkdir()
    items = ItemsWriter(target / NAME, snapshot)
    dense = faiss.IndexIDMap2(faiss.IndexFlatIP(meta.dim)) if meta.dim else None
    width = 8 * -(-meta.bits // 8)
    binary = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(width)) if meta.bits else None
    for records in snapshot.records():
        ids = row_ids(records)
        if dense is not None:
            dense.add_with_ids(np.concatenate([record.embedding for record in records]), ids)
        if binary is not None:
            binary.add_with_ids(np.ascontiguousarray(np.concatenate([record.code for record in records])), ids)
        items.write(records)
    items.close()
    if dense is not None:
        faiss.write_index(dense, str(target / "embeddings.faiss"))
    if binary is not None:
        faiss.write_index_binary(binary, str(target / "codes.faiss"))
    return []


def read(path: Path, bits: int, names: Sequence[bytes] | None) -> Source:
    """Open a folder of ours, or one index file."""
    if path.is_dir():
        if not (path / NAME).is_file():
            raise CollectionError(f"{path}: no `{NAME}` in it", "name one index file")
        rows = {
            name: _rows(path / f"{name}.faiss")[0]
            for name in ("embeddings", "codes")
            if (path / f"{name}.faiss").exists()
        }
        return source_of(path, path / NAME, portions_with(path / NAME, rows.get("embeddings"), rows.get("codes")))
    rows_, ids = _rows(path)
    if names is None and ids is not None:
        names = [b"%d" % number for number in ids.tolist()]
    if rows_.dtype == np.uint8:
        return Source(path, len(rows_), 0, bits or 8 * rows_.shape[1], plain_portions(path, None, rows_, names))
    return Source(path, len(rows_), rows_.shape[1], 0, plain_portions(path, rows_, None, names))


def _rows(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Give the vectors or codes of an index, and their ids where it has some of its own."""
    faiss = _faiss()
    outer: Any = None
    for reader in (faiss.read_index, faiss.read_index_binary):
        try:
            outer = reader(str(path))
            break
        except RuntimeError:
            continue
    if outer is None:
        raise CollectionError(f"{path}: not an index that faiss reads, or damaged")
    index, ids = outer, None
    if hasattr(outer, "id_map"):  # `outer` owns the index in it, so it stays until the rows are copied
        binary = isinstance(outer, faiss.IndexBinary)
        ids = faiss.vector_to_array(outer.id_map).copy()
        index = faiss.downcast_IndexBinary(outer.index) if binary else faiss.downcast_index(outer.index)
    try:
        rows: np.ndarray = np.array(index.reconstruct_n(0, index.ntotal))
    except (RuntimeError, AttributeError) as error:
        raise CollectionError(
            f"{path}: a {type(index).__name__} does not give its vectors back", "`make_direct_map` in faiss lets it"
        ) from error
    return rows, ids


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UsageError("faiss is not installed", "pip install 'crossbit[faiss]'") from error
    return faiss
