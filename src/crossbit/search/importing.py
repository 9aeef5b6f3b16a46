"""Importing: rows that were made elsewhere become items of a collection, commit by commit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import CollectionError
from crossbit.search.exchange.base import Portion, Source, counts_of
from crossbit.search.head import Meta
from crossbit.search.metadata import clean
from crossbit.search.outside import Outside
from crossbit.search.plan import Known
from crossbit.search.records import Record, SyncReport
from crossbit.search.writer import Writer

COMMIT_ITEMS = 20_000


def stand_in(source: Source, model: Any, name: str = "") -> Any:
    """Give what a collection for a source is made with.

    Args:
        source: the rows.
        model: what made them, where that can be loaded; else None.
        name: what to call it, where it cannot and the source does not tell.

    Raises:
        CollectionError: the model gives rows of another width.
    """
    if model is not None:
        bits = source.bits
        if source.dim != model.dim or bits not in (0, model.bits):
            raise CollectionError(
                f"{source.path}: embeddings of {source.dim} numbers and {bits} bits, `{model.name}` gives {model.dim} "
                f"and {model.bits}",
                "name the model that made them, or none",
            )
        from crossbit.search.place import reference_of

        return Outside(model.name, source.dim, bits, model.fingerprint, reference_of(model))
    told = source.model
    if told:
        return Outside(told["model"], source.dim, source.bits, told["fingerprint"], told["reference"])
    return Outside(name or source.path.name, source.dim, source.bits)


def take_in(writer: Writer, source: Source, report: SyncReport) -> None:
    """Commit the items of a source; those whose path is known replace what is there.

    Raises:
        CollectionError: widths are not the collection's, or a row cannot be used. What was committed before stays.
    """
    meta = writer.meta
    if (source.dim, source.bits) != (meta.dim, meta.bits):
        raise CollectionError(
            f"{source.path}: embeddings of {source.dim} numbers and {source.bits} bits, the collection has {meta.dim} "
            f"and {meta.bits}"
        )
    known = {key: entry.id for key, entry in Known(writer.snapshot).by_key.items()}
    keep_ids = not writer.head.next_id
    next_id = writer.head.next_id
    waiting: list[Record] = []
    for portion in source.portions:
        keys = _keys(portion, source, writer)
        ids = []
        for place, key in enumerate(keys):
            wanted = int(portion.ids[place]) if keep_ids and portion.ids is not None else next_id
            number = known.setdefault(key, wanted)
            report.added += number == wanted
            report.changed += number != wanted
            next_id = max(next_id, number + 1)
            ids.append(number)
        waiting += _records(portion, keys, ids, meta, source.path)
        while len(waiting) >= COMMIT_ITEMS:
            writer.commit(_last_of_each(waiting[:COMMIT_ITEMS]))
            waiting = waiting[COMMIT_ITEMS:]
    if waiting:
        writer.commit(_last_of_each(waiting))


def _last_of_each(records: list[Record]) -> list[Record]:
    """Keep the last of items that come twice."""
    return list({record.id: record for record in records}.values())


def _keys(portion: Portion, source: Source, writer: Writer) -> list[bytes]:
    """Give keys as the collection holds them: relative to its own root."""
    here = "" if writer.snapshot.root is None else os.fspath(writer.snapshot.root)
    if not source.root or os.path.realpath(source.root) == os.path.realpath(here or source.root):
        return list(portion.keys)
    base = os.fsencode(source.root)
    return [os.path.normpath(os.path.join(base, key)) for key in portion.keys]


def _records(portion: Portion, keys: list[bytes], ids: list[int], meta: Meta, path: Path) -> list[Record]:
    counts = counts_of(portion.captions)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for name, rows, width in (
        ("embeddings", portion.embeddings, meta.dim),
        ("codes", portion.codes, -(-meta.bits // 8)),
    ):
        if width and (rows is None or rows.shape != (total, width)):
            shape = None if rows is None else rows.shape
            raise CollectionError(f"{path}: {name} of shape {shape}, expected {(total, width)}")
    records = []
    for place, (key, number) in enumerate(zip(keys, ids, strict=True)):
        span = slice(int(ends[place] - counts[place]), int(ends[place]))
        embedding = portion.embeddings[span] if meta.dim and portion.embeddings is not None else None
        code = portion.codes[span] if meta.bits and portion.codes is not None else None
        facts = portion.facts[place] if portion.facts else _facts(embedding, code)
        metadata = clean(portion.metadata[place], str(path))
        records.append(
            Record(
                id=number, key=key, captions=portion.captions[place], metadata=metadata, embedding=embedding, code=code, **facts
            )
        )  # fmt: skip
    return records


def _facts(embedding: np.ndarray | None, code: np.ndarray | None) -> Mapping[str, Any]:
    """Say of an item without a file that it has none: when `index` finds one under its path, it is read."""
    row = embedding if embedding is not None else code
    assert row is not None
    digest = hashlib.sha256(np.ascontiguousarray(row[:1]).tobytes()).digest()
    return {"sha256": digest, "size": 0, "mtime_ns": 0, "from_folder": False, "sidecar": b""}
