"""Plan: what a folder's pictures are to a collection: new, changed, said otherwise, gone, or as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from crossbit.search.arrow import column_of
from crossbit.search.sidecars import Sidecars
from crossbit.search.snapshot import Snapshot
from crossbit.search.tables import Texts
from crossbit.search.walk import Broken, Picture, Walked


@dataclass(frozen=True)
class Entry:
    """What the collection knows of an item's file."""

    id: int
    key: bytes
    sha256: bytes
    size: int
    mtime_ns: int
    from_folder: bool
    sidecar: bytes


class Sayings(Protocol):
    """What is said of pictures: `Sidecars`, or captions handed over in Python."""

    def digest(self, picture: Picture) -> bytes:
        """Give a fingerprint that changes with what is said."""
        ...

    def read(self, picture: Picture) -> tuple[Texts, list[Broken]]:
        """Give captions and metadata, and what could not be read."""
        ...


class Known:
    """All living items of a snapshot, by path and by content."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.by_key: dict[bytes, Entry] = {}
        self.by_content: dict[bytes, int] = {}
        names = ["id", "key", "sha256", "size", "mtime_ns", "from_folder", "sidecar"]
        for segment in snapshot.segments:
            table = segment.table.select(names)
            if not segment.alive.all():
                table = table.take(column_of(np.flatnonzero(segment.alive)))
            for values in zip(*(table.column(name).to_pylist() for name in names), strict=True):
                entry = Entry(*values)
                self.by_key[entry.key] = entry
                self.by_content[entry.sha256] = entry.id


@dataclass
class Plan:
    """What a run has to do.

    Args:
        fresh: pictures to read: new paths, and files whose size or time changed.
        retold: pictures as they were whose texts changed.
        gone: items whose file is not there any more; a fresh file of the same content takes one over.
        unchanged: items left alone.
        quarantine: broken files as they stand, before any picture of this run is read.
        broken: those of them that were met in this run.
    """

    fresh: list[Picture] = field(default_factory=list)
    retold: list[tuple[Entry, Picture]] = field(default_factory=list)
    gone: dict[bytes, list[Entry]] = field(default_factory=dict)
    unchanged: int = 0
    quarantine: dict[bytes, Broken] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)


def plan(
    walked: Walked, sidecars: Sidecars, known: Known, before: Mapping[bytes, Broken], *, retry: bool = False
) -> Plan:
    """Compare a walk with what the collection knows. Only sizes and times are compared; contents where those differ.

    Args:
        walked: the folder.
        sidecars: what is said of its pictures.
        known: the collection's items.
        before: its quarantine list.
        retry: read quarantined files again, though they did not change.
    """
    made = Plan()
    for picture in walked.pictures:
        entry = known.by_key.get(picture.key)
        state = (picture.size, picture.mtime_ns)
        if entry is not None and (entry.size, entry.mtime_ns) == state:
            if entry.from_folder and sidecars.digest(picture) != entry.sidecar:
                made.retold.append((entry, picture))
            else:
                made.unchanged += 1
            continue
        broken = before.get(picture.key)
        if broken is not None and entry is None and (broken.size, broken.mtime_ns) == state and not retry:
            made.quarantine[picture.key] = broken
        else:
            made.fresh.append(picture)
    here = {picture.key for picture in walked.pictures}
    for entry in known.by_key.values():
        if entry.from_folder and entry.key not in here and not walked.hides(entry.key):
            made.gone.setdefault(entry.sha256, []).append(entry)
    for key, broken in before.items():
        if sidecars.unchanged(broken) or walked.hides(key):
            made.quarantine[key] = broken
    for broken in (*walked.broken, *sidecars.problems):
        made.quarantine[broken.key] = broken
        if before.get(broken.key) != broken:
            made.broken.append(broken)
    return made
