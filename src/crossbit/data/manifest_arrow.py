"""A manifest as an Arrow file: what is filtered away never becomes a Python object, and items are written as they come."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit.errors import ManifestError

if TYPE_CHECKING:
    import pyarrow as pa

    from crossbit.data.manifest import Item

VERSION = "1"
"""Of the layout; a newer one is refused."""
_ROWS = 2048
_TEXTS = ("id", "path", "modality", "split", "concept", "source", "licence")
_KEY = b"crossbit.manifest"


def schema() -> pa.Schema:
    """Give the columns: the fields of `Item`, with metadata as a JSON string."""
    import pyarrow as pa

    caption = pa.struct({"text": pa.string(), "lang": pa.string(), "kind": pa.string()})
    columns: dict[str, pa.DataType] = dict.fromkeys(_TEXTS, pa.string())
    columns |= {"captions": pa.list_(caption), "labels": pa.list_(pa.string())}
    columns |= {"start": pa.float64(), "end": pa.float64(), "metadata": pa.string()}
    return pa.schema(columns, metadata={_KEY: VERSION.encode()})


def write_items(items: Iterable[Item], path: Path) -> None:
    """Write items as they come, whole or not at all; the ids are not compared, `read_items` does that."""
    import pyarrow as pa

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    try:
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, schema(), options=options) as writer:
            rest = iter(items)
            while rows := list(islice(rest, _ROWS)):
                writer.write_batch(_batch(rows))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _batch(rows: Sequence[Item]) -> pa.RecordBatch:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [getattr(item, name) for item in rows] for name in (*_TEXTS, "start", "end")}
    columns["captions"] = [[{"text": c.text, "lang": c.lang, "kind": c.kind} for c in item.captions] for item in rows]
    columns["labels"] = [list(item.labels) for item in rows]
    columns["metadata"] = [
        json.dumps(dict(item.metadata), ensure_ascii=False, sort_keys=True) if item.metadata else "" for item in rows
    ]
    return pa.RecordBatch.from_pydict(columns, schema=schema())


def read_items(
    path: Path,
    *,
    split: str | None = None,
    languages: Iterable[str] | None = None,
    sources: Iterable[str] | None = None,
) -> Iterator[Item]:
    """Read the items of a split and of some sources, with their captions in some languages.

    Raises:
        ManifestError: the file is not one of ours, of a newer version, or cut; or a record is at fault.
    """
    import pyarrow as pa

    langs = None if languages is None else pa.array(sorted(set(languages)), pa.string())
    kept = None if sources is None else pa.array(sorted(set(sources)), pa.string())
    try:
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            _check(reader.schema, path)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                batch.validate(
                    full=True
                )  # Arrow does not look at offsets when it reads, and would follow them anywhere
                yield from _items(_chosen(batch, split, kept), langs, path)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ManifestError(f"{path}: not a whole Arrow file ({first})", "write or prepare it again") from error


def _check(found: pa.Schema, path: Path) -> None:
    version = (found.metadata or {}).get(_KEY, b"").decode()
    if not found.equals(schema()) or version != VERSION:
        if version.isdigit() and int(version) > int(VERSION):
            raise ManifestError(f"{path}: is of version {version}, expected {VERSION}", "upgrade crossbit")
        raise ManifestError(f"{path}: an Arrow file with other columns, expected a manifest of crossbit")


def _chosen(batch: pa.RecordBatch, split: str | None, sources: pa.Array | None) -> pa.RecordBatch:
    import pyarrow.compute as pc

    if split is not None:
        batch = batch.filter(pc.equal(batch.column("split"), split))
    if sources is not None:
        batch = batch.filter(pc.is_in(batch.column("source"), value_set=sources))
    return batch


def _items(batch: pa.RecordBatch, languages: pa.Array | None, path: Path) -> Iterator[Item]:
    from crossbit.data.manifest import Caption, Item, known_modality

    column = {name: batch.column(name).to_pylist() for name in (*_TEXTS, "labels", "start", "end", "metadata")}
    ends, texts, langs, kinds = _captions(batch.column("captions"), languages)
    begin = 0
    for row, end in enumerate(ends):
        where = f"{path}: item {column['id'][row]!r}"
        for name in ("id", "path"):
            if not column[name][row]:
                raise ManifestError(f"{where}: field {name!r} is {column[name][row]!r}, expected a non-empty string")
        found = tuple(Caption(*c) for c in zip(texts[begin:end], langs[begin:end], kinds[begin:end], strict=True))
        if any(not (caption.text or "").strip() for caption in found):
            raise ManifestError(f"{where}: a caption has no text")
        begin = end
        yield Item(
            **{name: column[name][row] or "" for name in _TEXTS if name != "modality"},
            modality=known_modality(column["modality"][row], where),
            captions=found,
            labels=tuple(column["labels"][row] or ()),
            start=column["start"][row],
            end=column["end"][row],
            metadata=_metadata(column["metadata"][row], where),
        )


def _captions(column: pa.ListArray, languages: pa.Array | None) -> tuple[list[int], list[str], list[str], list[str]]:
    """Give where each item's captions end, and their texts, languages and kinds, flat."""
    import pyarrow.compute as pc

    flat = column.flatten()  # respects the slice that a filter leaves
    ends = np.cumsum(pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False))
    if languages is not None:
        keep = pc.is_in(flat.field("lang"), value_set=languages)
        kept = np.concatenate([[0], np.cumsum(keep.to_numpy(zero_copy_only=False))])
        ends, flat = kept[ends], flat.filter(keep)
    return ends.tolist(), *(flat.field(name).to_pylist() for name in ("text", "lang", "kind"))


def _metadata(text: str, where: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{where}: metadata is not JSON ({error.msg})") from error
    if not isinstance(found, dict):
        raise ManifestError(f"{where}: metadata is a {type(found).__name__}, expected an object")
    return found
