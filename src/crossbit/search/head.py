"""The two small files that say what a collection is: `meta.json`, written once, and `head.json`, whose replacement is a commit.

FOLDER/meta.json            format, model, precision of the vectors
FOLDER/head.json            the commit: segments, version of the store, next id, all with checksums
FOLDER/segments/000012/     rows and items, written once (segment.py)
FOLDER/store/items.lance    the same items in LanceDB (store.py)
FOLDER/quarantine-….jsonl   files that could not be read
FOLDER/receipts-….jsonl     checksums of the store's files
FOLDER/history-….jsonl      one line a commit
FOLDER/snapshots/NAME/      a commit that was kept by name: links to its segments (snapshots.py)
FOLDER/models/000034/       the same files for another model, once the collection has moved there (migrate.py)
FOLDER/*.copy.json          copies of the two, for repair
FOLDER/lock                 held by the writer
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crossbit.errors import CollectionError
from crossbit.search.durable import Receipt, read_json, write_json

FORMAT = 2
"""2: history, snapshots and a place of their own for the files of a model; 1 is read as well."""


@dataclass(frozen=True)
class Meta:
    """What a collection was made with and does not change.

    Args:
        model: the model's name, for people.
        reference: what `Model.from_pretrained` takes to load it again.
        fingerprint: of the model; only a model with the same one may search.
        dim: numbers of an embedding, 0 where the model has none.
        bits: bits of a code, 0 where the model has none.
        vectors: how embeddings are held for search, "float16", "int8" or "float32".
        created: date and time, UTC.
        version: of crossbit.
        engine: what searches the codes: "scan", "mih", "hnsw", or "auto" to choose by their number and width.
    """

    model: str
    reference: str
    fingerprint: str
    dim: int
    bits: int
    vectors: str
    created: str
    version: str
    engine: str = "auto"


@dataclass(frozen=True)
class SegmentCard:
    """What a commit knows of a segment: counts, the file that lists its dead items, and the checksum of every file."""

    name: str
    items: int
    rows: int
    dead: int = 0
    dead_file: str = ""
    files: Mapping[str, Receipt] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """A file that is appended to: the commit counts only its first `size` bytes, with their CRC-32."""

    file: str
    size: int = 0
    crc: int = 0


@dataclass(frozen=True)
class Head:
    """A commit.

    Args:
        commit: its number, ascending.
        store: version of the LanceDB table that belongs to it; 0: there is none, the next writer makes it from the segments.
        next_id: the first id that was never given.
        root: what item paths are relative to; relative itself where the collection lies inside. Empty: not known yet.
        segments: oldest first.
        quarantine: file with the list of broken files and its receipt; empty where there are none.
        receipts: log of the store's files.
        tidying: old versions of the store are being removed: files that the log names may be gone.
        history: log of the commits since the last `compact`.
        place: where below the collection the files of this commit lie; empty: in its folder itself.
        migrating: where files for another model are being made, beside these; empty: none are.
    """

    commit: int = 0
    store: int = 0
    next_id: int = 0
    root: str = ""
    segments: tuple[SegmentCard, ...] = ()
    quarantine: str = ""
    quarantine_receipt: Receipt | None = None
    receipts: Log = Log("receipts-000000.jsonl")
    tidying: bool = False
    history: Log = Log("history-000000.jsonl")
    place: str = ""
    migrating: str = ""

    @property
    def items(self) -> int:
        """Count the living items."""
        return sum(card.items - card.dead for card in self.segments)


def is_collection(folder: Path) -> bool:
    """Say whether a folder holds a collection that was finished being created."""
    return (folder / "head.json").is_file() and (folder / "meta.json").is_file()


def write_meta(folder: Path, meta: Meta) -> None:
    """Write `meta.json` and its copy."""
    for name in ("meta.json", "meta.copy.json"):
        write_json(folder / name, {"format": FORMAT, **asdict(meta)})


def read_meta(folder: Path, name: str = "meta.json") -> Meta:
    """Read `meta.json`, or its copy.

    Raises:
        CollectionError: there is no collection, it is damaged, or a newer crossbit wrote it.
    """
    record = _read(folder, name)
    try:
        return Meta(**record)
    except TypeError as error:
        raise CollectionError(
            f"{folder / name}: has fields {sorted(record)}, expected those of a collection"
        ) from error


def write_head(folder: Path, head: Head) -> None:
    """Replace `head.json`: this is the commit. A copy is written behind it, for repair."""
    write_json(folder / "head.json", {"format": FORMAT, **asdict(head)})
    write_json(folder / "head.copy.json", {"format": FORMAT, **asdict(head)})


def read_head(folder: Path, name: str = "head.json") -> Head:
    """Read the last commit, or its copy.

    Raises:
        CollectionError: there is none, it is damaged, or a newer crossbit wrote it.
    """
    record = _read(folder, name)
    try:
        receipt = record["quarantine_receipt"]
        segments = tuple(
            SegmentCard(**{**card, "files": {name: Receipt(**file) for name, file in card["files"].items()}})
            for card in record.pop("segments")
        )
        record["quarantine_receipt"] = None if receipt is None else Receipt(**receipt)
        record["receipts"] = Log(**record["receipts"])
        if "history" in record:
            record["history"] = Log(**record["history"])
        return Head(segments=segments, **record)
    except (KeyError, TypeError, AttributeError) as error:
        raise CollectionError(f"{folder / name}: not the commit of a collection ({error})") from error


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        unfinished = name == "head.json" and (folder / "meta.json").is_file()
        state = "the collection was never finished" if unfinished else "no collection here"
        raise CollectionError(f"{folder}: {state}, expected `{name}`", "make one with `crossbit index FOLDER`")
    record = read_json(path)
    written = record.pop("format", None)
    if not isinstance(written, int) or written > FORMAT:
        raise CollectionError(
            f"{path}: written in format {written}, this crossbit reads up to {FORMAT}",
            "upgrade crossbit, or index again with `--rebuild`",
        )
    return record


def root_for_head(root: Path, folder: Path) -> str:
    """Write the root as it is kept: relative where the collection lies inside, so that both can move together."""
    root, folder = Path(os.path.realpath(root)), Path(os.path.realpath(folder))
    return os.path.relpath(root, folder) if folder.is_relative_to(root) else os.fspath(root)


def root_of(head: Head, folder: Path) -> Path | None:
    """Give the root as an absolute path."""
    if not head.root:
        return None
    return Path(os.path.normpath(os.path.join(os.path.realpath(folder), head.root)))
