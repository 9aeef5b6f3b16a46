"""What all formats share: portions of items with their rows, the table of formats, and how a source is told apart."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from crossbit.errors import CollectionError, UsageError
from crossbit.search.records import VIEWS, Record
from crossbit.search.snapshot import Snapshot

Format = Literal["numpy", "parquet", "faiss", "usearch", "clip-retrieval"]
FORMATS: tuple[Format, ...] = get_args(Format)
PORTION = 8192


@dataclass(frozen=True)
class Portion:
    """Items on their way in, with the rows of picture and captions one after the other.

    Args:
        ids: of the items, where the source has ids that a new collection can keep; else None.
        keys: paths, as bytes: relative to the source's root, or absolute, or whatever names the item there.
        captions: texts of each item.
        metadata: of each item.
        embeddings: rows of all items, 1 + captions each; None where there are none.
        codes: likewise, packed.
        facts: size, time, SHA-256 and so on of each file, where they are known.
    """

    keys: Sequence[bytes]
    captions: Sequence[tuple[str, ...]]
    metadata: Sequence[Mapping[str, Any]]
    embeddings: Float32[np.ndarray, "R E"] | None
    codes: UInt8[np.ndarray, "R W"] | None
    ids: Int64[np.ndarray, " n"] | None = None
    facts: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Source:
    """What was found in a file or folder.

    Args:
        path: of it.
        items: how many.
        dim: numbers of an embedding, 0 for none.
        bits: of a code, 0 for none.
        portions: gives the items.
        root: what relative keys are relative to; empty where it is not known.
        model: name, fingerprint and so on of the model that made the rows, where the source tells.
        notes: what of the source is left out or changed on the way.
    """

    path: Path
    items: int
    dim: int
    bits: int
    portions: Iterator[Portion]
    root: str = ""
    model: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def export(snapshot: Snapshot, target: Path, kind: str) -> list[str]:
    """Write a collection in a format; give notes on what the format cannot hold.

    Args:
        snapshot: the items.
        target: a new file or folder, whichever the format is.
        kind: one of `FORMATS`.

    Raises:
        UsageError: there is no such format, its package is not installed, or the target exists.
    """
    door = _door(kind)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target}: exists, expected a new {'file' if kind == 'parquet' else 'folder'}")
    if not len(snapshot):
        raise UsageError(f"{snapshot.folder}: is empty, expected items to export")
    partial = target.with_name(f"{target.name}.partial")
    _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        notes: list[str] = door.write(snapshot, partial)
        if target.is_dir():
            target.rmdir()
        partial.rename(target)
    finally:
        _remove(partial)
    return notes


def read(path: Path, kind: str | None = None, *, bits: int = 0, paths: Path | None = None) -> Source:
    """Open a file or folder that others made.

    Args:
        path: of it.
        kind: its format; None looks.
        bits: of its codes, where that is not eight times their bytes.
        paths: a text file with the path of each item, one a line, for sources that hold rows alone.

    Raises:
        CollectionError: it is missing, damaged, or of no format that is known.
        UsageError: the package of the format is not installed, or `paths` has another number of lines.
    """
    if not path.exists():
        raise CollectionError(f"{path}: no such file or folder")
    door = _door(kind or format_of(path))
    names = None if paths is None else [line for line in os.fsencode(paths.read_text("utf-8")).splitlines() if line]
    source: Source = door.read(path, bits, names)
    if names is not None and len(names) != source.items:
        raise UsageError(f"{paths}: {len(names):,} paths for {source.items:,} items, expected one for each")
    if not source.dim and not source.bits:
        raise CollectionError(f"{path}: holds neither embeddings nor codes")
    return source


def format_of(path: Path) -> Format:
    """Say which format a file or folder is of.

    Raises:
        CollectionError: it is of none that is known.
    """
    if path.is_dir():
        names = set(os.listdir(path))
        if {"img_emb", "metadata"} <= names or "img_emb" in names:
            return "clip-retrieval"
        for suffix, kind in ((".faiss", "faiss"), (".usearch", "usearch"), (".npy", "numpy")):
            if any(name.endswith(suffix) for name in names):
                return kind  # type: ignore[return-value]
    suffixes: dict[str, Format] = {
        ".npy": "numpy",
        ".parquet": "parquet",
        ".faiss": "faiss",
        ".index": "faiss",
        ".usearch": "usearch",
    }
    if path.suffix.lower() in suffixes:
        return suffixes[path.suffix.lower()]
    raise CollectionError(f"{path}: of no format that is known", f"name one: {', '.join(FORMATS)}")


def _door(kind: str) -> ModuleType:
    if kind not in FORMATS:
        raise UsageError(f"format {kind!r}, expected one of {', '.join(FORMATS)}")
    return import_module(f"crossbit.search.exchange.{kind.replace('-', '_')}_files")


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def row_ids(records: Sequence[Record]) -> Int64[np.ndarray, " R"]:
    """Give the ids of all rows of some items: what faiss and usearch know them by."""
    return np.concatenate([record.id * VIEWS + np.arange(1 + len(record.captions)) for record in records])


def counts_of(captions: Sequence[Sequence[str]]) -> Int64[np.ndarray, " n"]:
    """Give the number of rows of each item."""
    return np.asarray([1 + len(texts) for texts in captions], np.int64)


def unit_rows(rows: np.ndarray, where: Path) -> Float32[np.ndarray, "R E"]:
    """Give embeddings as the collection holds them: float32 of length 1.

    Raises:
        CollectionError: a row is not finite or zero.
    """
    if rows.ndim != 2 or not (np.issubdtype(rows.dtype, np.floating) or np.issubdtype(rows.dtype, np.integer)):
        raise CollectionError(f"{where}: rows are {rows.dtype} of shape {rows.shape}, expected numbers of shape (N, E)")
    floats = rows.astype(np.float32)
    norms = np.linalg.norm(floats, axis=1, keepdims=True)
    if not np.isfinite(floats).all() or (norms == 0).any():
        wrong = int(np.flatnonzero(~np.isfinite(floats).all(axis=1) | (norms[:, 0] == 0))[0])
        raise CollectionError(f"{where}: row {wrong} is zero or not finite, expected an embedding")
    unit: np.ndarray = floats / norms
    return unit


def plain_keys(names: Sequence[bytes] | None, start: int, stop: int) -> list[bytes]:
    """Give the names of items that have rows alone: those that were handed over, or their numbers."""
    return list(names[start:stop]) if names is not None else [b"row-%09d" % number for number in range(start, stop)]


def plain_portions(
    path: Path, embeddings: np.ndarray | None, codes: np.ndarray | None, names: Sequence[bytes] | None
) -> Iterator[Portion]:
    """Give rows alone as items without captions."""
    rows = embeddings if embeddings is not None else codes
    assert rows is not None
    for start in range(0, len(rows), PORTION):
        stop = min(start + PORTION, len(rows))
        nothing: list[Any] = [()] * (stop - start)
        yield Portion(
            plain_keys(names, start, stop),
            nothing,
            [{} for _ in nothing],
            None if embeddings is None else unit_rows(embeddings[start:stop], path),
            None if codes is None else np.ascontiguousarray(codes[start:stop], np.uint8),
        )
