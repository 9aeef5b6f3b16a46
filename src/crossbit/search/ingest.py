"""Ingest: from files to commits. Files are read ahead in threads, encoded in batches, committed every few seconds.

A run that is stopped goes on by itself the next time: what was committed is there, and the rest is still to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from crossbit.search.drafts import Draft, Encoder, Rows, row
from crossbit.search.metadata import Value, clean
from crossbit.search.plan import Entry, Known, Plan, Sayings
from crossbit.search.reading import Read, facts_of, read_ahead
from crossbit.search.reading import read as read_now
from crossbit.search.records import Record, SyncReport
from crossbit.search.tables import Texts
from crossbit.search.walk import Broken, Picture
from crossbit.search.writer import Writer

COMMIT_ITEMS = 512
COMMIT_SECONDS = 20.0
"""A commit is made after so many items or seconds, whichever comes first: what a killed run can lose."""

BATCH_BYTES = 256 << 20
"""Decoded pictures that wait for the model; a batch is cut short where few large ones reach this."""


@dataclass(frozen=True)
class Settings:
    """How a run reads and encodes.

    Args:
        batch_size: pictures encoded at a time.
        max_pixels: larger pictures go to the quarantine list.
        progress: show a bar on stderr.
        from_folder: whether the items belong to the folder, so that `sync` removes them with their files.
    """

    batch_size: int = 32
    max_pixels: int = 200_000_000
    progress: bool = True
    from_folder: bool = True


class Ingest:
    """One run of a writer over files.

    Args:
        writer: commits.
        model: gives the model, called when the first picture or caption has to be encoded.
        known: the items before the run.
        sayings: captions and metadata of the pictures.
        settings: how to read and encode.
        report: is counted up.
        given: rows by key that need not be encoded.
    """

    def __init__(
        self,
        writer: Writer,
        model: Callable[[], Any],
        known: Known,
        sayings: Sayings,
        settings: Settings,
        report: SyncReport,
        given: Mapping[bytes, Rows] | None = None,
    ) -> None:
        self.writer, self.model, self.known, self.sayings = writer, model, known, sayings
        self.settings, self.report, self.given = settings, report, given or {}
        self.next_id = writer.head.next_id
        self.drafts: list[Draft] = []
        self.records: list[Record] = []
        self.removed: set[int] = set()
        self.pending: set[bytes] = set()  # contents in drafts that wait to be encoded
        self.recent: dict[bytes, Rows] = {}  # contents in records that wait to be committed
        self.lock = threading.Lock()
        self.encoder = Encoder(model, writer.meta, settings.batch_size)
        self.committed = time.monotonic()

    def run(self, plan: Plan, *, root: str | None = None, ids: dict[bytes, int] | None = None) -> None:
        """Do what a plan says, commit by commit.

        Args:
            plan: what to do.
            root: kept with the last commit, if it changed.
            ids: is filled with the item of each key, where given.
        """
        self.quarantine, self.before = plan.quarantine, self.writer.snapshot.quarantine()
        self.gone, self.ids = plan.gone, ids if ids is not None else {}
        self.report.unchanged += plan.unchanged
        self.report.broken.extend(plan.broken)
        total = len(plan.fresh) + len(plan.retold)
        hide = True if not self.settings.progress or not total else None  # None: hidden where stderr is no terminal
        bar = tqdm(total=total, desc="index", unit="picture", disable=hide)
        try:
            with bar:
                for entry, picture in plan.retold:
                    self.retell(entry, picture)
                    bar.update()
                    self.pace()
                with closing(self.reads(plan.fresh)) as reads:
                    for read in reads:
                        self.take(read)
                        bar.update()
                        self.pace()
                self.encode()
            for entries in self.gone.values():
                self.removed.update(entry.id for entry in entries)
                self.report.removed += len(entries)
            self.commit(root)
        except KeyboardInterrupt:
            self.commit(None)  # what is encoded is not thrown away
            raise

    def reads(self, fresh: Sequence[Picture]) -> Generator[Read]:
        """Read the fresh pictures ahead."""
        return read_ahead(fresh, self.need_not_decode, size=self.edge, max_pixels=self.settings.max_pixels)

    def edge(self) -> int:
        """Say how large a picture the model looks at; asked by the reading threads, so the model is made by one of them."""
        with self.lock:
            return int(getattr(self.model(), "image_size", 224))

    def need_not_decode(self, picture: Picture, sha256: bytes) -> bool:
        """Say whether a file's rows are there already; asked by the reading threads."""
        return picture.key in self.given or self.is_known(sha256)

    def is_known(self, sha256: bytes) -> bool:
        """Say whether a content was encoded before, or is about to be."""
        return sha256 in self.known.by_content or sha256 in self.recent or sha256 in self.pending

    def take(self, read: Read) -> None:
        """Decide what a file that was read is: broken, touched, renamed, changed, a duplicate or new."""
        picture, entry = read.picture, self.known.by_key.get(read.picture.key)
        if read.reason:
            self.reject(picture, read.reason)
            return
        sidecar = self.sayings.digest(picture)
        if entry is not None and entry.sha256 == read.sha256:
            same = sidecar == entry.sidecar or self.by_hand(entry)
            self.report.unchanged += same
            self.restate(entry, picture, entry.sidecar if same else sidecar, retold=not same)
            return
        if entry is None and (same_content := self.gone.get(read.sha256)):
            old = same_content.pop()
            self.report.renamed += 1
            self.restate(old, picture, sidecar, retold=sidecar != old.sidecar, counted=False)
            return
        rows = self.given.get(picture.key)
        if rows is None and self.is_known(read.sha256):
            rows = self.rows_of(read.sha256)
        if rows is not None:
            read = replace(read, pixels=None, facts=read.facts or facts_of(picture))
        if rows is None and read.pixels is None:  # the content was known when the file was read, and is not any more
            read = read_now(picture, lambda *_: False, size=self.edge, max_pixels=self.settings.max_pixels)
            if read.reason:
                self.reject(picture, read.reason)
                return
        self.draft(read, entry, sidecar, rows)

    def draft(self, read: Read, entry: Entry | None, sidecar: bytes, rows: Rows | None) -> None:
        """Take a picture whose content is new to its path."""
        if entry is None:
            number = self.new_id(read.picture)
            self.report.added += 1
        else:
            number = entry.id
            self.report.changed += 1
        if entry is not None and self.by_hand(entry):
            item = self.writer.snapshot.items([entry.id])[0]
            texts, sidecar = Texts(list(item.captions), dict(item.metadata)), entry.sidecar
        else:
            texts = self.texts(read.picture)
        if rows is None:
            self.pending.add(read.sha256)
        self.ids[read.picture.key] = number
        self.drafts.append(
            Draft(
                number, read.picture, read.sha256, sidecar, texts, read.facts, self.belongs(read.picture, entry),
                read.pixels, rows or (None, None), old=-1 if entry is None else number,
            )
        )  # fmt: skip

    def by_hand(self, entry: Entry) -> bool:
        """Say whether this run must leave an item's texts alone: `sync` does not touch what was added in Python."""
        return self.settings.from_folder and not entry.from_folder

    def new_id(self, picture: Picture) -> int:
        """Give the id of an item that is new."""
        number, self.next_id = self.next_id, self.next_id + 1
        return number

    def belongs(self, picture: Picture, entry: Entry | None) -> bool:
        """Say whether an item belongs to the folder."""
        return self.settings.from_folder and (entry is None or entry.from_folder)

    def retell(self, entry: Entry, picture: Picture) -> None:
        """Take new captions and metadata of a picture that did not change."""
        self.restate(entry, picture, self.sayings.digest(picture), retold=True)

    def restate(self, entry: Entry, picture: Picture, sidecar: bytes, *, retold: bool, counted: bool = True) -> None:
        """Commit a known picture anew, with its rows, under another path, time or texts."""
        embeddings, codes = self.writer.snapshot.embeddings(entry.id)
        item = self.writer.snapshot.items([entry.id])[0]
        texts, facts = Texts(list(item.captions), dict(item.metadata)), dict[str, Value]()
        if retold:
            texts, facts = self.texts(picture), facts_of(picture)
            told = clean({**facts, **texts.metadata})
            if counted:
                changed = texts.captions != list(item.captions) or told != item.metadata
                self.report.changed += changed
                self.report.unchanged += not changed
        self.ids[picture.key] = entry.id
        self.drafts.append(
            Draft(
                entry.id, picture, entry.sha256, sidecar, texts, facts, self.belongs(picture, entry),
                rows=(row(embeddings, 0), row(codes, 0)), old=entry.id,
            )
        )  # fmt: skip

    def texts(self, picture: Picture) -> Texts:
        """Read what is said of a picture; what cannot be read goes to the quarantine list."""
        texts, broken = self.sayings.read(picture)
        for one in broken:
            self.quarantine[one.key] = one
            self.report.broken.append(one)
        return texts

    def reject(self, picture: Picture, reason: str) -> None:
        """Put a file on the quarantine list; an item that it was before is removed."""
        broken = Broken(picture.key, reason, picture.size, picture.mtime_ns)
        self.quarantine[picture.key] = broken
        self.report.broken.append(broken)
        if (entry := self.known.by_key.get(picture.key)) is not None:
            self.removed.add(entry.id)
            self.report.removed += 1

    def rows_of(self, sha256: bytes) -> Rows | None:
        """Give the rows of a content that was encoded before; None if its item has got another content meanwhile."""
        if sha256 in self.pending:
            self.encode()
        if sha256 in self.recent:
            return self.recent[sha256]
        number = self.known.by_content.get(sha256, -1)
        held = self.writer.snapshot.items([number])
        if not held or held[0].sha256 != sha256.hex():
            return None
        embeddings, codes = self.writer.snapshot.embeddings(number)
        return row(embeddings, 0), row(codes, 0)

    def pace(self) -> None:
        """Encode when a batch is full, commit when it is time."""
        waiting = [draft.pixels.nbytes for draft in self.drafts if draft.pixels is not None]
        late = time.monotonic() - self.committed > COMMIT_SECONDS
        full = len(waiting) >= self.settings.batch_size or sum(waiting) > BATCH_BYTES
        if full or late or len(self.drafts) >= COMMIT_ITEMS:
            self.encode()
        if len(self.records) >= COMMIT_ITEMS or late:
            self.commit(None)

    def encode(self) -> None:
        """Turn drafts into records."""
        drafts, self.drafts = self.drafts, []
        self.pending.clear()
        for draft, reason in self.encoder.pictures([draft for draft in drafts if draft.pixels is not None]):
            self.withdraw(draft, reason)
        drafts = [draft for draft in drafts if not draft.withdrawn]
        captions = self.encoder.captions(drafts, self.writer.snapshot)
        for draft in drafts:
            self.recent[draft.sha256] = draft.rows
            self.records.append(draft.record(captions))
            self.quarantine.pop(draft.picture.key, None)

    def withdraw(self, draft: Draft, reason: str) -> None:
        """Take a draft back that the model cannot encode."""
        draft.withdrawn = True
        if draft.picture.key in self.known.by_key:
            self.report.changed -= 1
        else:
            self.report.added -= 1
        self.ids.pop(draft.picture.key, None)
        self.reject(draft.picture, reason)

    def commit(self, root: str | None) -> None:
        """Make everything up to here true."""
        changed = self.quarantine if self.quarantine != self.before else None
        if self.records or self.removed or changed is not None or root is not None:
            self.writer.commit(self.records, self.removed, quarantine=changed, root=root)
            self.before = dict(self.quarantine)
        for record in self.records:
            self.known.by_content[record.sha256] = record.id
        self.records, self.removed, self.recent = [], set(), {}
        self.committed = time.monotonic()
        self.report.quarantined, self.report.encoded = len(self.quarantine), self.encoder.encoded
