"""clip-retrieval's folders: `img_emb/img_emb_0.npy`, `text_emb/...`, `metadata/metadata_0.parquet`, a million rows a part.

There a picture has one caption. Of ours, the first goes out; the others are counted in a note. Codes are not part of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossbit.errors import CollectionError, UsageError
from crossbit.search.exchange.base import PORTION, Portion, Source, plain_keys, unit_rows
from crossbit.search.metadata import clean, dump, load
from crossbit.search.records import Record
from crossbit.search.snapshot import Snapshot

PART = 1_000_000
_PARTS = {"img_emb": "img_emb_{}.npy", "text_emb": "text_emb_{}.npy", "metadata": "metadata_{}.parquet"}


def write(snapshot: Snapshot, target: Path) -> list[str]:
    """Write a folder."""
    if not snapshot.meta.dim:
        raise UsageError(f"{snapshot.folder}: has only codes, clip-retrieval takes embeddings")
    parts = max(1, -(-len(snapshot) // PART))
    digits = len(str(parts - 1))
    texts = any(record.captions for records in snapshot.records() for record in records)
    for name in _PARTS:
        if name != "text_emb" or texts:
            (target / name).mkdir(parents=True)
    waiting: list[Record] = []
    part, more = 0, 0
    for records in snapshot.records():
        more += sum(max(0, len(record.captions) - 1) for record in records)
        waiting += records
        while len(waiting) >= PART:
            _write_part(snapshot, target, f"{part:0{digits}d}", waiting[:PART], texts)
            waiting, part = waiting[PART:], part + 1
    if waiting:
        _write_part(snapshot, target, f"{part:0{digits}d}", waiting, texts)
    notes = [f"{more:,} captions after the first of a picture are left out"] * bool(more)
    return [*notes, *["codes are left out"] * bool(snapshot.meta.bits)]


def _write_part(snapshot: Snapshot, target: Path, number: str, records: Sequence[Record], texts: bool) -> None:
    import pyarrow.parquet as pq

    embeddings = [record.embedding for record in records if record.embedding is not None]
    np.save(target / "img_emb" / f"img_emb_{number}.npy", np.stack([rows[0] for rows in embeddings]).astype(np.float16))
    if texts:
        nothing = np.zeros(snapshot.meta.dim, np.float32)
        first = [rows[1] if len(rows) > 1 else nothing for rows in embeddings]
        np.save(target / "text_emb" / f"text_emb_{number}.npy", np.stack(first).astype(np.float16))
    columns: dict[str, Any] = {
        "image_path": [os.fsencode(snapshot.path(r.key)).decode("utf-8", "backslashreplace") for r in records],
        "caption": [record.captions[0] if record.captions else "" for record in records],
        "metadata": [dump(record.metadata) for record in records],
        "crossbit_id": [record.id for record in records],
    }
    pq.write_table(pa.table(columns), target / "metadata" / f"metadata_{number}.parquet")


def read(path: Path, bits: int, names: Sequence[bytes] | None) -> Source:
    """Open a folder."""
    pictures = _parts(path, "img_emb")
    if not pictures:
        raise CollectionError(f"{path}: no `img_emb/img_emb_0.npy`", "inference over texts alone cannot be imported")
    shapes = [_load(file).shape for file in pictures.values()]
    if {shape[1:] for shape in shapes} != {shapes[0][1:]} or len(shapes[0]) != 2:
        raise CollectionError(f"{path}: parts of shapes {shapes[:3]}, expected (N, E) with one E")
    count, dim = sum(shape[0] for shape in shapes), shapes[0][1]
    return Source(path, count, dim, 0, _portions(path, pictures, names))


def _portions(path: Path, pictures: dict[str, Path], names: Sequence[bytes] | None) -> Iterator[Portion]:
    texts, tables, done = _parts(path, "text_emb"), _parts(path, "metadata"), 0
    for number, file in pictures.items():
        images = _load(file)
        captions = _load(texts[number]) if number in texts else None
        table = _table(tables[number], len(images)) if number in tables else None
        for start in range(0, len(images), PORTION):
            stop = min(start + PORTION, len(images))
            rows = None if table is None else table.slice(start, stop - start).to_pylist()
            said = None if captions is None else np.asarray(captions[start:stop])
            keys = plain_keys(names, done, done + stop - start)
            yield _portion(file, np.asarray(images[start:stop]), said, rows, keys)
            done += stop - start


def _portion(
    file: Path, images: np.ndarray, said: np.ndarray | None, rows: list[dict[str, Any]] | None, keys: list[bytes]
) -> Portion:
    """Put pictures together with the captions that have an embedding."""
    captions: list[tuple[str, ...]] = []
    metadata: list[dict[str, Any]] = []
    flat: list[np.ndarray] = []
    unit = unit_rows(images, file)
    for place, key in enumerate(keys):
        row = dict(rows[place]) if rows is not None else {}
        path, caption = row.pop("image_path", None), row.pop("caption", None)
        row.pop("crossbit_id", None)
        keys[place] = key if not path else os.fsencode(str(path))
        text = " ".join(str(caption or "").split())
        known = said is not None and bool(text) and bool(np.any(said[place]))
        captions.append((text,) if known else ())
        flat.append(unit[place : place + 1])
        if known:
            assert said is not None
            flat.append(unit_rows(said[place : place + 1], file))
        told = row.pop("metadata", None)
        metadata.append(clean({**row, **({} if known or not text else {"caption": text}), **_told(told)}, str(file)))
    return Portion(keys, captions, metadata, np.concatenate(flat), None)


def _told(text: Any) -> dict[str, Any]:
    """Read the metadata of an export of ours; of others, keep the text."""
    try:
        found = load(text) if isinstance(text, str) else {}
    except ValueError:
        return {"metadata": text}
    return found if isinstance(found, dict) else {"metadata": text}


def _parts(path: Path, name: str) -> dict[str, Path]:
    """Give the files of one kind by the number of their part, in order."""
    suffix = Path(_PARTS[name]).suffix
    found = {}
    for file in sorted((path / name).glob(f"*{suffix}")) if (path / name).is_dir() else ():
        if match := re.fullmatch(rf"{name}_?(\d+){re.escape(suffix)}", file.name):
            found[str(int(match[1]))] = file
    return dict(sorted(found.items(), key=lambda pair: int(pair[0])))


def _table(file: Path, rows: int) -> pa.Table:
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    if table.num_rows != rows:
        raise CollectionError(f"{file}: {table.num_rows:,} rows for {rows:,} embeddings")
    return table


def _load(file: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CollectionError(f"{file}: not an .npy file of numbers") from error
    return found
