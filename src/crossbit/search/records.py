"""What goes into a collection and what comes out: records, stored items, hits, reports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from crossbit.errors import CollectionError
from crossbit.search.metadata import Value, printable
from crossbit.search.walk import Broken

VIEWS = 1 << 16
"""Row ids are `item * VIEWS + view`: view 0 is the picture, view 1 its first caption. So ties stand by ascending item, and a
row keeps its id when the collection is compacted."""

PICTURE = "picture"


@dataclass(frozen=True)
class Record:
    """A whole item, as it is committed.

    Args:
        id: stable number of the item, never given twice.
        key: path below the collection's root, or an absolute path, as bytes.
        sha256: of the file's content.
        size: bytes of the file.
        mtime_ns: when the file was last changed.
        from_folder: whether `sync` found it; what was added by hand is not removed by `sync`.
        sidecar: fingerprint of the files that its captions came from.
        captions: texts that are searched beside the picture.
        metadata: clean values, see `metadata.clean`.
        embedding: one row for the picture and one for each caption; None where the model has none.
        code: packed codes of the same rows; None where the model has none.
    """

    id: int
    key: bytes
    sha256: bytes
    size: int
    mtime_ns: int
    from_folder: bool
    sidecar: bytes
    captions: tuple[str, ...]
    metadata: Mapping[str, Value]
    embedding: Float32[np.ndarray, "V E"] | None
    code: UInt8[np.ndarray, "V W"] | None


@dataclass(frozen=True)
class Item:
    """An item as it stands in the collection."""

    id: int
    path: Path
    captions: tuple[str, ...]
    metadata: dict[str, Value]
    size: int
    sha256: str
    modified: datetime


@dataclass(frozen=True)
class Hit:
    """One answer of a search.

    Args:
        id: the item's number, stable over re-indexing and compaction.
        score: higher is better, 1 at most: a cosine, or the cosine of the ±1 codes.
        rank: 1 for the best.
        path: the picture.
        captions: all texts of the item.
        metadata: what is known of it.
        why: the caption that matched best, or "picture" where the picture itself did.
        probability: that it is what was asked for, where the collection is calibrated; see `calibrate`.
    """

    id: int
    score: float
    rank: int
    path: Path
    captions: tuple[str, ...]
    metadata: dict[str, Value]
    why: str
    probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        r"""Give the hit as JSON knows it. A name that is not UTF-8 keeps its bytes as `\udcXX`, as Python writes them."""
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "probability": self.probability,
            "id": self.id,
            "path": os.fspath(self.path),
            "captions": list(self.captions),
            "metadata": printable(self.metadata),
            "why": self.why,
        }


@dataclass
class SyncReport:
    """What a run over files came to.

    Args:
        added: new items.
        changed: items whose picture or texts changed.
        renamed: items found again under another path; they keep their id and are not encoded again.
        removed: items whose file is gone.
        unchanged: items left alone.
        quarantined: files that cannot be used, now, not only in this run; `broken` lists those met in this run.
        encoded: pictures that went through the model; duplicates and renamed ones do not.
        token_bytes: size of the kept tokens on the disk; 0 where none are kept.
        ids: of `add`, the item of each file in the order given, -1 where the file is broken.
    """

    added: int = 0
    changed: int = 0
    renamed: int = 0
    removed: int = 0
    unchanged: int = 0
    quarantined: int = 0
    encoded: int = 0
    token_bytes: int = 0
    seconds: float = 0.0
    broken: list[Broken] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give the counts as JSON knows them, with the broken files by path."""
        counts = {k: v for k, v in self.__dict__.items() if k not in ("broken", "ids")}
        return {
            **counts,
            "seconds": round(self.seconds, 3),
            "broken": [{"path": b.path, "reason": b.reason} for b in self.broken],
        }


@dataclass(frozen=True)
class Version:
    """A commit that can be looked at.

    Args:
        commit: its number.
        time: when it was made, UTC.
        items: how many pictures it holds.
        name: of the snapshot that keeps it; empty: it goes with the next `compact`.
    """

    commit: int
    time: str
    items: int
    name: str = ""


@dataclass(frozen=True)
class Damage:
    """A file of the collection that is not as it was committed."""

    file: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found: how many files and bytes were read, and what is damaged."""

    folder: Path
    files: int
    bytes: int
    damage: tuple[Damage, ...] = ()

    @property
    def ok(self) -> bool:
        """Say whether every file is as it was committed."""
        return not self.damage

    def __iter__(self) -> Iterator[Damage]:
        return iter(self.damage)

    def check(self) -> None:
        """Raise when something is damaged.

        Raises:
            CollectionError: names every damaged file.
        """
        if self.damage:
            lines = "\n".join(str(damage) for damage in self.damage)
            raise CollectionError(
                f"{self.folder}: {len(self.damage)} of {self.files} files are damaged\n{lines}",
                "`crossbit collection repair` mends what can be mended",
            )

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON knows it."""
        return {"ok": self.ok, "files": self.files, "bytes": self.bytes, "damage": [asdict(d) for d in self.damage]}


@dataclass(frozen=True)
class Stats:
    """How large a collection is and what it was made with.

    Args:
        folder: of the collection.
        root: what item paths are relative to.
        model: name of the model.
        fingerprint: of the model.
        dim: numbers of an embedding.
        bits: bits of a code.
        vectors: precision of the embeddings.
        items: pictures.
        rows: what is scanned: pictures and captions.
        captions: texts.
        dead: items that were replaced or removed and take room until `compact`.
        quarantined: files that cannot be used.
        fields: what `where` can ask for, with the kinds of values.
        bytes: size of each file; the store's are added up.
        engine: what searches the codes and why, see `engines.choice.Choice`; empty where there are no codes.
        server: the address of the server that has the rows, and how many items wait to be brought to it, None for all; None
            where there is no server.
        migrating: the model that an unfinished `migrate` moves to.
        snapshots: names of the commits that are kept.
    """

    folder: Path
    root: Path | None
    model: str
    fingerprint: str
    dim: int
    bits: int
    vectors: str
    items: int
    rows: int
    captions: int
    dead: int
    quarantined: int
    fields: dict[str, list[str]]
    bytes: dict[str, int]
    migrating: str = ""
    snapshots: tuple[str, ...] = ()
    engine: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as JSON knows them."""
        root = None if self.root is None else os.fspath(self.root)
        return {**asdict(self), "folder": os.fspath(self.folder), "root": root}


def moment(mtime_ns: int) -> datetime:
    """Give the time of change of a file as UTC without zone: what `modified` is compared as."""
    return datetime.fromtimestamp(mtime_ns // 1_000 / 1_000_000, UTC).replace(tzinfo=None)
