"""NumPy: a folder with `embeddings.npy` (float32), `codes.npy` (uint8), `rows.npy` and `items.parquet`; or any .npy of rows.

`rows.npy` has the number of every row: `item * 65536 + view`, view 0 the picture, then its captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossbit.errors import CollectionError
from crossbit.search.exchange.base import Source, plain_portions, row_ids
from crossbit.search.exchange.items import NAME, ItemsWriter, portions_with, source_of
from crossbit.search.snapshot import Snapshot


def write(snapshot: Snapshot, target: Path) -> list[str]:
    """Write a folder."""
    target.mkdir()
    rows, meta = snapshot.rows, snapshot.meta
    held = {}
    if meta.dim:
        held["embedding"] = _new(target / "embeddings.npy", np.dtype(np.float32), (rows, meta.dim))
    if meta.bits:
        held["code"] = _new(target / "codes.npy", np.dtype(np.uint8), (rows, -(-meta.bits // 8)))
    numbers = _new(target / "rows.npy", np.dtype(np.int64), (rows,))
    items, done = ItemsWriter(target / NAME, snapshot), 0
    for records in snapshot.records():
        ids = row_ids(records)
        span = slice(done, done + len(ids))
        numbers[span] = ids
        for name, array in held.items():
            array[span] = np.concatenate([getattr(record, name) for record in records])
        items.write(records)
        done += len(ids)
    items.close()
    for array in (*held.values(), numbers):
        array.flush()
    return []


def read(path: Path, bits: int, names: Sequence[bytes] | None) -> Source:
    """Open a folder of ours, or one .npy file: floats are embeddings, bytes are codes."""
    if path.is_dir() and (path / NAME).is_file():
        arrays = {
            name: _load(path / f"{name}.npy") for name in ("embeddings", "codes") if (path / f"{name}.npy").exists()
        }
        return source_of(path, path / NAME, portions_with(path / NAME, arrays.get("embeddings"), arrays.get("codes")))
    if path.is_dir():
        raise CollectionError(f"{path}: no `{NAME}` in it", "name one .npy file of rows")
    rows = _load(path)
    if rows.ndim != 2:
        raise CollectionError(f"{path}: an array of shape {rows.shape}, expected (N, width)")
    if rows.dtype == np.uint8:
        return Source(path, len(rows), 0, bits or 8 * rows.shape[1], plain_portions(path, None, rows, names))
    return Source(path, len(rows), rows.shape[1], 0, plain_portions(path, rows, None, names))


def _new(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def _load(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CollectionError(f"{path}: not an .npy file of numbers ({str(error).splitlines()[0][:100]})") from error
    return found
