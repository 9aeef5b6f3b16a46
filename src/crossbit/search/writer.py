"""How a commit is made: store and segments first, then one step that makes it true, the replacement of `head.json`.

Before that step nothing is seen, and what was written is undone by the next writer.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossbit.errors import CollectionError
from crossbit.search.durable import Receipt, told, write_whole, writing
from crossbit.search.head import Head, Log, Meta, SegmentCard, read_head, read_meta, write_head, write_meta
from crossbit.search.logs import append, read_log
from crossbit.search.mirror import Mirror, left_behind, mirror_of
from crossbit.search.records import Record
from crossbit.search.segment import Part, Segment, part_of, write_dead, write_segment
from crossbit.search.snapshot import Snapshot, open_snapshot
from crossbit.search.walk import Broken

if TYPE_CHECKING:
    from crossbit.search.store import Table

JOIN_BYTES = 1 << 30
"""Item tables are joined up to this size: paths, hashes and captions of ten million pictures or so. A column of Arrow holds two
gigabytes of text at most."""

_LOGS = ("quarantine-", "receipts-", "history-")


@contextmanager
def writer(folder: Path, meta: Meta, wait: float = 0.0) -> Iterator[Writer]:
    """Open a collection for writing, undoing what a killed writer left behind.

    Args:
        folder: of the collection.
        meta: what it was made with.
        wait: seconds to wait for another writer.

    Raises:
        CollectionError: another process writes, or the collection is damaged.
    """
    with writing(folder, wait):
        opened = Writer(folder, meta)
        yield opened
        opened.bring(patient=True)


class Writer:
    """Commits to a collection. Made by `writer`, which holds the lock."""

    def __init__(self, folder: Path, meta: Meta) -> None:
        self.folder = folder
        self.snapshot = open_snapshot(folder, meta)
        with told(folder):
            self._sweep()
            mend_copies(folder, self.head, self.meta)
            if self.head.tidying:
                self._tidy()

    @property
    def head(self) -> Head:
        """Give the last commit."""
        return self.snapshot.head

    @property
    def meta(self) -> Meta:
        """Give what the collection was made with."""
        return self.snapshot.meta

    @property
    def data(self) -> Path:
        """Say where the files of the last commit lie."""
        return self.snapshot.data

    @cached_property
    def table(self) -> Table:
        """Open the store as it was at the last commit, or make it from the segments where there is none.

        Importing LanceDB takes a second, so only writing does.
        """
        from crossbit.search.store import Table

        table = Table(self.data / "store", self.meta, self.head.store, set(read_receipts(self.data, self.head)))
        if not self.head.store:
            for records in self.snapshot.records():
                table.write(records, (), np.empty(0, np.int64))
        return table

    def commit(
        self,
        records: Sequence[Record] = (),
        removed: Iterable[int] = (),
        *,
        quarantine: Mapping[bytes, Broken] | None = None,
        root: str | None = None,
    ) -> None:
        """Make items, removals and the quarantine list true in one step.

        Args:
            records: new items, or new states of known ones.
            removed: ids of items that are gone; they stay in the store as tombstones until `compact`.
            quarantine: the whole list, if it changed.
            root: what paths are relative to, if it changed.

        Raises:
            CollectionError: the disk is full or cannot be written; the commit before stands.
        """
        with told(self.folder), self._undoing():
            self._commit(list(records), np.unique(np.fromiter(removed, np.int64)), quarantine, root)
        self.bring()

    @cached_property
    def mirror(self) -> Mirror | None:
        """Give what keeps a server equal to the commits, where the collection has one."""
        return mirror_of(self.data, self.meta)

    def bring(self, *, patient: bool = False) -> None:
        """Bring to the server what it lacks; what cannot be brought now is searched here, and brought later.

        Args:
            patient: wait for a server that did not answer before.
        """
        if self.mirror is not None:
            self.mirror.patient |= patient
            self.mirror.bring(self.snapshot)

    @contextmanager
    def _undoing(self) -> Iterator[None]:
        """After a failure or an interrupt, go on from what the disk says was committed last."""
        try:
            yield
        except BaseException:
            self.__dict__.pop("table", None)
            self.snapshot = open_snapshot(self.folder, self.meta, self.snapshot)
            raise

    def _commit(
        self,
        records: list[Record],
        removed: np.ndarray,
        quarantine: Mapping[bytes, Broken] | None,
        root: str | None,
    ) -> None:
        head = replace(self.head, commit=self.head.commit + 1)
        if records or len(removed):
            known = [record.id for record in records if record.id < head.next_id]
            self.table.write(records, known, removed)
            head = replace(
                head,
                store=self.table.version,
                next_id=max([head.next_id, *(record.id + 1 for record in records)]),
                segments=self._segments(records, np.union1d(removed, known).astype(np.int64), head.commit),
                receipts=self._receipts(head.receipts),
            )
        if quarantine is not None:
            name = f"quarantine-{head.commit:06d}.jsonl" if quarantine else ""
            receipt = write_whole(self.data / name, lines_of(quarantine.values())) if quarantine else None
            head = replace(head, quarantine=name, quarantine_receipt=receipt)
        changed = [*removed.tolist(), *(record.id for record in records)]
        self._finish(head if root is None else replace(head, root=root), changed=changed)

    def _finish(self, head: Head, *, new_history: bool = False, changed: Iterable[int] = ()) -> None:
        """Replace the head, which is the commit, and drop what no commit names any more."""
        if self.mirror is not None:
            self.mirror.note(self.head, head, changed)
        log = Log(f"history-{head.commit:06d}.jsonl") if new_history else head.history
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = {"commit": head.commit, "time": now, "items": head.items, "store": head.store, "root": head.root}
        head = replace(head, history=append(self.data, log, [known]))
        write_head(self.folder, head)
        self.snapshot = Snapshot(self.folder, self.meta, head, self.snapshot)
        self._sweep()

    def lead_to(self, head: Head) -> None:
        """Make a commit true that was laid out elsewhere: files for another model, shards that were put together, a repair.

        Args:
            head: with everything that it names on the disk, forced there.
        """
        with told(self.folder), self._undoing():
            self.__dict__.pop("table", None)
            self.__dict__.pop("mirror", None)
            before = self.head
            write_head(self.folder, head)
            left_behind(self.folder, before, head)
            self.snapshot = open_snapshot(self.folder, self.meta, self.snapshot)
            self._sweep()

    def _segments(self, records: list[Record], dead: np.ndarray, commit: int) -> tuple[SegmentCard, ...]:
        """Write new items as a segment, joined with those before it that are no larger, and mark dead ones in the others.

        So there are never more than about log2(N) segments, and each row is copied about as often.
        """
        alive = []
        for segment in self.snapshot.segments:
            gone = segment.places(dead)
            card = segment.card
            if len(gone):
                all_gone = np.union1d(np.flatnonzero(~segment.alive), gone)
                if len(all_gone) == card.items:
                    continue
                card = write_dead(self.folder, segment, all_gone, commit)
                segment = type(segment)(self.data, card)
            alive.append(segment)
        joined: list[Part] = [part_of(records, self.meta)] if records else []
        total, size = len(records), joined[0].table.nbytes if joined else 0
        while records and alive and alive[-1].card.items - alive[-1].card.dead <= total:
            size += alive[-1].table_bytes
            if size > JOIN_BYTES:
                break
            segment = alive.pop()
            total += segment.card.items - segment.card.dead
            joined.append(segment.part())
        cards = [segment.card for segment in alive]
        return (*cards, write_segment(self.data, f"{commit:06d}", joined)) if joined else tuple(cards)

    def _receipts(self, log: Log) -> Log:
        """Append checksums of the files that the store wrote since the last commit."""
        fresh = self.table.fresh().items()
        return append(self.data, log, [{"path": name, "size": r.size, "sha256": r.sha256} for name, r in fresh])

    def keep_store(self) -> None:
        """Make the store from the segments where there is none, and commit it."""
        if self.head.store or not self.head.segments:
            return
        with told(self.folder), self._undoing():
            version = self.table.version
            receipts = self._receipts(self.head.receipts)
            self._finish(replace(self.head, commit=self.head.commit + 1, store=version, receipts=receipts))

    def compact(self) -> None:
        """Forget tombstones and old versions for good, and join all segments into one.

        Raises:
            CollectionError: the disk is full (compacting needs room for a second copy) or cannot be written.
        """
        with told(self.folder), self._undoing():
            commit = self.head.commit + 1
            if not self.head.store and not self.head.segments:
                return
            self.table.squeeze()
            cards = [
                write_segment(self.data, f"{commit:06d}-{number}", [segment.part() for segment in group])
                for number, group in enumerate(self._groups())
            ]
            head = replace(self.head, commit=commit, store=self.table.version, segments=tuple(cards))
            # old versions may go only when the head no longer names them
            self._finish(replace(head, receipts=self._receipts(head.receipts), tidying=True))
            self._tidy()

    def _groups(self) -> list[list[Segment]]:
        """Say which segments `compact` joins: all, unless their tables are too large for one."""
        groups: list[list[Segment]] = []
        room = 0
        for segment in self.snapshot.segments:
            if not segment.alive.any():
                continue
            if segment.table_bytes > room:
                groups.append([])
                room = JOIN_BYTES
            groups[-1].append(segment)
            room -= segment.table_bytes
        return groups

    def _tidy(self) -> None:
        """Remove old versions of the store and start a new log of receipts."""
        commit = self.head.commit + 1
        self.table.forget_versions()
        log = self._receipts(Log(f"receipts-{commit:06d}.jsonl"))
        self._finish(
            replace(self.head, commit=commit, store=self.table.version, receipts=log, tidying=False), new_history=True
        )

    def _sweep(self) -> None:
        """Remove what the commit does not name: the work of a killed writer, and what the last commit replaced."""
        head, data = self.head, self.data
        named = {card.name: set(card.files) for card in head.segments}
        for segment in _listed(data / "segments"):
            if segment.name not in named:
                shutil.rmtree(segment, ignore_errors=True)
                continue
            for path in _listed(segment):
                if path.name not in named[segment.name]:
                    path.unlink(missing_ok=True)
        current = {head.quarantine, head.receipts.file, head.history.file}
        for path in (*_listed(data), *(_listed(self.folder) if head.place else ())):
            old_log = path.name.startswith(_LOGS) and (path.parent != data or path.name not in current)
            if old_log or path.name.endswith(".partial"):
                path.unlink(missing_ok=True)
        for name in ("head.json", "head.copy.json", "lock") if head.place else ():  # of the time before the switch
            (data / name).unlink(missing_ok=True)
        kept = {self.folder / name for name in (head.place, head.migrating) if name}
        stale = [path for path in _listed(self.folder / "models") if path not in kept]
        stale += [path for path in _listed(self.folder / "snapshots") if path.name.endswith(".partial")]
        stale += [self.folder / "segments", self.folder / "store"] if head.place else []
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)


def mend_copies(folder: Path, head: Head, meta: Meta) -> None:
    """Write the copies of `head.json` and `meta.json` anew where a killed writer left them behind, or nobody made them yet."""
    try:
        same = read_head(folder, "head.copy.json") == head
    except CollectionError:
        same = False
    if not same:
        write_head(folder, head)
    try:
        same = read_meta(folder) == read_meta(folder, "meta.copy.json") == meta
    except CollectionError:
        same = False
    if not same:
        write_meta(folder, meta)


def read_receipts(data: Path, head: Head) -> dict[str, Receipt]:
    """Read the checksums of the store's files, by their paths below `data`.

    Raises:
        CollectionError: the log is missing or damaged.
    """
    return {record["path"]: Receipt(record["size"], record["sha256"]) for record in read_log(data, head.receipts)}


def lines_of(broken: Iterable[Broken]) -> bytes:
    """Write a quarantine list."""
    rows = sorted(broken, key=lambda one: one.key)
    return b"".join(
        json.dumps({"path": b.path, "reason": b.reason, "size": b.size, "mtime_ns": b.mtime_ns}).encode() + b"\n"
        for b in rows
    )


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
