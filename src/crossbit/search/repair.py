"""Repair: what a collection can mend of itself. Every item lies there twice, and its picture may still be there.

    meta.json, head.json          from their copies
    a segment                     from the store, whose rows are the same items
    ... and the store, too        its pictures are encoded again, where the list of items is whole
    the store                     from the segments; versions of the past are gone then
    quarantine list, history      begun anew
    kept tokens                   dropped where they are damaged; the next `index` makes them again
    a snapshot                    from the store, while that has its version

What cannot be mended is refused by name, and given up only where that is asked for. Damage is never overwritten before what
replaces it is on the disk: a repair that is killed is begun again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import CollectionError
from crossbit.search import tokens
from crossbit.search.durable import sync_folder, told, writing
from crossbit.search.head import Head, Log, Meta, SegmentCard, read_head, read_meta, write_head, write_meta
from crossbit.search.ingest import Settings
from crossbit.search.logs import read_log
from crossbit.search.migrate import Again, Held
from crossbit.search.plan import Entry, Known, Plan
from crossbit.search.records import Damage, SyncReport
from crossbit.search.segment import Segment, part_of, write_segment
from crossbit.search.snapshot import Snapshot
from crossbit.search.snapshots import names, segments_from_store
from crossbit.search.verify import damaged_files, verify
from crossbit.search.walk import Picture
from crossbit.search.writer import Writer, read_receipts, writer


@dataclass
class RepairReport:
    """What a repair did.

    Args:
        damage: what `verify` found before.
        mended: sentences, one a thing that was mended, and how.
        given_up: sentences, one a thing that was lost.
        encoded: pictures that went through the model again.
    """

    damage: tuple[Damage, ...] = ()
    mended: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    encoded: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON knows it."""
        damage = [{"file": one.file, "found": one.found, "expected": one.expected} for one in self.damage]
        return {"damage": damage, "mended": self.mended, "given_up": self.given_up, "encoded": self.encoded}


def repair(
    folder: Path, model: Callable[[], Any], settings: Settings, *, wait: float = 0.0, give_up: bool = False
) -> RepairReport:
    """Mend a collection.

    Args:
        folder: of the collection.
        model: gives the model, where pictures have to be encoded again.
        settings: how to read and encode.
        wait: seconds to wait for another writer.
        give_up: drop what cannot be mended, instead of refusing.

    Raises:
        CollectionError: something cannot be mended; the message names it, and nothing was dropped.
    """
    with writing(folder, wait), told(folder):
        report = RepairReport(verify(folder).damage)
        _mend_small(folder, report)
        report.mended.extend(tokens.mend(folder))
        head = read_head(folder)
        meta = read_meta(folder / head.place)
        led = _Mend(folder, meta, head, model, settings, report, give_up).run()
        if led is not None:
            write_head(folder, led)
        with_store = Writer(folder, meta)  # sweeps, and writes the copies anew
        if led is not None and not led.store and led.segments:
            with_store.keep_store()
            report.mended.append("the store, made from the segments; versions of the past are gone")
    left = verify(folder)
    if not left.ok:
        lines = "\n".join(str(damage) for damage in left)
        raise CollectionError(f"{folder}: could not be mended\n{lines}", "index again with `--rebuild`")
    return report


def _mend_small(folder: Path, report: RepairReport) -> None:
    """Put the small files and their copies right, each from the other.

    Raises:
        CollectionError: both are damaged.
    """
    _mend_pair(folder, "meta", read_meta, write_meta, report)
    _mend_pair(folder, "head", read_head, write_head, report)
    if place := read_head(folder).place:
        _mend_pair(folder / place, "meta", read_meta, write_meta, report)
    for name in names(folder):
        for stem, reader, write in (("meta", read_meta, write_meta), ("head", read_head, write_head)):
            try:
                _mend_pair(folder / "snapshots" / name, stem, reader, write, report)
            except CollectionError:
                shutil.rmtree(folder / "snapshots" / name)  # it cannot be known what it held
                report.given_up.append(f"snapshot {name}: {stem}.json and its copy are damaged")
                break


def _mend_pair(
    folder: Path, stem: str, reader: Callable[..., Any], write: Callable[..., None], report: RepairReport
) -> None:
    found: list[Any] = []
    wrong: list[str] = []
    for name in (f"{stem}.json", f"{stem}.copy.json"):
        try:
            found.append(reader(folder, name))
        except CollectionError:
            wrong.append(name)
    if not found:
        raise CollectionError(
            f"{folder / stem}.json: damaged, and so is its copy; the collection cannot be read without it",
            "index the pictures again: `crossbit index FOLDER --rebuild`",
        )
    if wrong:
        write(folder, found[0])
        report.mended.extend(f"{folder / name}, from its twin" for name in wrong)


class _Mend:
    """One repair: what is whole, what is not, and the commit that leads out of it."""

    def __init__(
        self,
        folder: Path,
        meta: Meta,
        head: Head,
        model: Callable[[], Any],
        settings: Settings,
        report: RepairReport,
        give_up: bool,
    ) -> None:
        self.folder, self.meta, self.head, self.model = folder, meta, head, model
        self.settings, self.report, self.give_up = settings, report, give_up
        self.data, self.commit = folder / head.place, head.commit + 1
        self.store_whole = bool(head.store) and self._store_is_whole()

    def run(self) -> Head | None:
        """Give the commit that mends everything; None where nothing is damaged. Everything it names is on the disk."""
        head = self.head
        cards = self._segments()
        if cards is not None:
            head = replace(head, segments=tuple(cards))
        if head.quarantine and head.quarantine_receipt is not None:
            path = self.data / head.quarantine
            if damaged_files([(path, head.quarantine_receipt)]):
                head = replace(head, quarantine="", quarantine_receipt=None)
                self.report.mended.append(f"{path}, dropped: its files are read again by the next `index`")
        if head.migrating and not verify(self.folder / head.migrating).ok:
            self.report.given_up.append(f"the unfinished move to another model in {head.migrating}")
            head = replace(head, migrating="")
        for name in names(self.folder):
            self._snapshot(name)
        fresh = Log(f"history-{self.commit:06d}.jsonl")
        try:
            read_log(self.data, head.history)
        except CollectionError:
            head = replace(head, history=fresh)
            self.report.mended.append(f"{self.data / self.head.history.file}, begun anew")
        if head.store and not self.store_whole:
            log = Log(f"receipts-{self.commit:06d}.jsonl")
            head = replace(head, store=0, receipts=log, history=fresh)
        return None if head == self.head else replace(head, commit=self.commit)

    def _store_is_whole(self) -> bool:
        try:
            receipts = read_receipts(self.data, self.head)
        except CollectionError:
            return False
        needed = ((self.data / name, receipt) for name, receipt in receipts.items())
        return not damaged_files(needed, may_miss=self.head.tidying)

    def _segments(self) -> list[SegmentCard] | None:
        """Give the cards of whole segments, those made again included; None where all are whole."""
        whole: list[SegmentCard] = []
        hurt: list[SegmentCard] = []
        for card in self.head.segments:
            files = [(self.data / "segments" / card.name / name, receipt) for name, receipt in card.files.items()]
            (hurt if damaged_files(files) else whole).append(card)
        if not hurt:
            return None
        if self.store_whole:
            return whole + self._from_store(whole, hurt)
        return whole + self._from_pictures(hurt)

    def _from_store(self, whole: Sequence[SegmentCard], hurt: Sequence[SegmentCard]) -> list[SegmentCard]:
        """Write the items of damaged segments again, from the store."""
        from crossbit.search.store import read_version

        segments = [Segment(self.data, card) for card in whole]
        safe = np.concatenate([np.empty(0, np.int64), *(segment.ids[segment.alive] for segment in segments)])
        held = set(safe.tolist())
        records = [
            record for record in read_version(self.data / "store", self.meta, self.head.store) if record.id not in held
        ]
        self.report.mended.append(f"{_named(hurt)}, {len(records):,} items from the store")
        return [write_segment(self.data, f"{self.commit:06d}", [part_of(records, self.meta)])] if records else []

    def _from_pictures(self, hurt: Sequence[SegmentCard]) -> list[SegmentCard]:
        """Encode the items of damaged segments again, those whose list is whole."""
        listed: list[SegmentCard] = []
        unlisted: list[SegmentCard] = []
        for card in hurt:
            names_ = ("items.arrow", card.dead_file) if card.dead_file else ("items.arrow",)
            files = [(self.data / "segments" / card.name / name, card.files[name]) for name in names_]
            (unlisted if damaged_files(files) else listed).append(card)
        lost = [f"segments/{card.name}: {card.items - card.dead:,} items" for card in unlisted]
        place = self.folder / "models" / f"repair-{self.commit:06d}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        write_meta(place, self.meta)
        write_head(place, Head())
        cards = [self._encode(card, place, lost) for card in listed]
        if lost and not self.give_up:
            raise CollectionError(
                "\n".join([f"{self.folder}: segments and store are both damaged; there is no other copy of", *lost]),
                "`--give-up` drops these; `crossbit index FOLDER` then takes their files as new pictures",
            )
        self.report.given_up.extend(lost)
        return [self._take(place, card, number) for number, card in enumerate(card for some in cards for card in some)]

    def _encode(self, card: SegmentCard, place: Path, lost: list[str]) -> tuple[SegmentCard, ...]:
        """Encode the living items of a segment into a collection of its own; give its segments."""
        only = Snapshot(self.folder, self.meta, replace(self.head, segments=(_listing_only(card),)))
        entries, by_key = Known(only).by_key, {}
        paths: dict[int, bytes] = {entry.id: key for key, entry in entries.items()}
        for item in only.all_items():
            by_key[paths[item.id]] = item
        with writer(place, self.meta) as new:
            before = {kept.name for kept in new.head.segments}
            known, report = Known(new.snapshot), SyncReport()
            root = only.root
            fresh = [_picture(key, entry, root) for key, entry in sorted(entries.items())]
            ingest = Again(entries, new, self.model, known, Held(by_key, entries), self.settings, report)
            ingest.run(Plan(fresh=fresh), root=None if root is None else os.fspath(root))
            self.report.encoded += report.encoded
            have = {item.id for item in new.snapshot.all_items()}
            lost.extend(f"{item.path}: its picture cannot be read" for item in by_key.values() if item.id not in have)
            self.report.mended.append(f"segments/{card.name}, {report.encoded:,} pictures encoded again")
            return tuple(kept for kept in new.head.segments if kept.name not in before)

    def _take(self, place: Path, card: SegmentCard, number: int) -> SegmentCard:
        """Move a segment into the collection, under a name of its own."""
        name = f"{self.commit:06d}-{number}"
        target = self.data / "segments" / name
        shutil.rmtree(target, ignore_errors=True)
        (place / "segments" / card.name).rename(target)
        sync_folder(target.parent)
        return replace(card, name=name)

    def _snapshot(self, name: str) -> None:
        """Mend a snapshot from the store, if that still has its version; else name it, or give it up."""
        folder = self.folder / "snapshots" / name
        head, meta = read_head(folder), read_meta(folder)
        files = [
            (folder / "segments" / card.name / file, receipt)
            for card in head.segments
            for file, receipt in card.files.items()
        ]
        if not damaged_files(files):
            return
        store = self._store_at(head.commit) if meta == self.meta else 0
        if store:
            partial = folder / "segments.partial"
            shutil.rmtree(partial, ignore_errors=True)
            cards = segments_from_store(self.data, partial, meta, store)
            for number, card in enumerate(cards):
                cards[number] = replace(card, name=f"mended-{self.commit:06d}-{number}")
                target = folder / "segments" / cards[number].name
                shutil.rmtree(target, ignore_errors=True)  # of a repair that was killed
                (partial / "segments" / card.name).rename(target)
            shutil.rmtree(partial)
            write_head(folder, replace(head, segments=tuple(cards)))
            for path in (folder / "segments").iterdir():
                if path.name not in {card.name for card in cards}:
                    shutil.rmtree(path)
            self.report.mended.append(f"snapshot {name}, from the store")
            return
        if not self.give_up:
            raise CollectionError(
                f"{folder}: the snapshot is damaged and its version is not in the store any more",
                f"`--give-up` drops it, as does `crossbit collection snapshot {name} --drop`",
            )
        shutil.rmtree(folder)
        self.report.given_up.append(f"snapshot {name}")

    def _store_at(self, commit: int) -> int:
        """Give the version of the store that belongs to a commit, 0 where there is none any more."""
        try:
            log = read_log(self.data, self.head.history) if self.store_whole else []
        except CollectionError:
            return 0
        return next((int(one["store"]) for one in log if one["commit"] == commit), 0)


def _picture(key: bytes, entry: Entry, root: Path | None) -> Picture:
    return Picture(key, os.path.join(root or "", os.fsdecode(key)), entry.size, entry.mtime_ns)


def _listing_only(card: SegmentCard) -> SegmentCard:
    """Give the card of a segment whose rows are damaged, without those: enough to list its items."""
    kept = {name: receipt for name, receipt in card.files.items() if name in ("items.arrow", card.dead_file)}
    return replace(card, files=kept)


def _named(cards: Sequence[SegmentCard]) -> str:
    return ", ".join(f"segments/{card.name}" for card in cards)
