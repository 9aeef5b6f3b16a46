"""Migrate: a collection moves to another model. Old and new lie side by side until the new one is whole; one step switches.

The files for the new model are a collection of their own below `models/`, filled from the pictures commit by commit, so that a
run that was stopped goes on. Until the switch everybody searches and indexes with the old model, and what changed there
meanwhile is taken over. Items keep their ids, captions, metadata and quarantine list.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossbit import __version__
from crossbit.errors import AbilityError, CollectionError, UsageError
from crossbit.search.durable import told
from crossbit.search.head import Head, Log, Meta, read_meta, write_head, write_meta
from crossbit.search.ingest import Ingest, Settings
from crossbit.search.logs import append
from crossbit.search.place import reference_of
from crossbit.search.plan import Entry, Known, Plan
from crossbit.search.records import Item, SyncReport
from crossbit.search.tables import Texts
from crossbit.search.walk import Broken, Picture
from crossbit.search.writer import Writer, writer

NAMED = 5
"""How many lost pictures a message names."""


class Held:
    """What the collection itself says of its pictures, as `plan.Sayings`."""

    def __init__(self, items: dict[bytes, Item], entries: dict[bytes, Entry]) -> None:
        self.items, self.entries = items, entries

    def digest(self, picture: Picture) -> bytes:
        """Give the fingerprint that the item was committed with."""
        return self.entries[picture.key].sidecar

    def read(self, picture: Picture) -> tuple[Texts, list[Broken]]:
        """Give the item's captions and metadata."""
        item = self.items[picture.key]
        return Texts(list(item.captions), dict(item.metadata)), []


class Again(Ingest):
    """Encodes items anew, under the ids that they have."""

    def __init__(self, entries: dict[bytes, Entry], *args: Any) -> None:
        super().__init__(*args)
        self.entries = entries

    def new_id(self, picture: Picture) -> int:
        """Give the id that the item has."""
        return self.entries[picture.key].id

    def belongs(self, picture: Picture, entry: Entry | None) -> bool:
        """Say whether the item belongs to the folder, as before."""
        return self.entries[picture.key].from_folder


def meta_for(model: Any, reference: str, like: Meta) -> Meta:
    """Say what a collection is made with for another model.

    Raises:
        AbilityError: the model neither embeds nor hashes.
    """
    if not model.dim and not model.bits:
        raise AbilityError(
            f"`{model.name}` scores pairs jointly, so it has no embedding or code to index",
            f"migrate to a model that embeds (see `crossbit methods`) and search with `--rerank {model.name}`",
        )
    return replace(
        like,
        model=model.name,
        reference=reference,
        fingerprint=model.fingerprint,
        dim=model.dim,
        bits=model.bits,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


def migrate(
    old: Writer, model: Any, settings: Settings, report: SyncReport, *, drop_missing: bool, named: Any = None
) -> None:
    """Encode everything with another model and switch to it.

    Args:
        old: the collection, opened for writing.
        model: the new one.
        settings: how to read and encode.
        report: is counted up.
        drop_missing: switch though some pictures cannot be read any more, and leave those out.
        named: the name or folder that the model was given by.

    Raises:
        UsageError: the collection is made with that model already.
        CollectionError: pictures are missing or broken; nothing was switched, and the next run goes on.
    """
    meta = meta_for(model, reference_of(model if named is None else named), old.meta)
    if meta.fingerprint == old.meta.fingerprint:
        raise UsageError(f"{old.folder}: is made with model `{old.meta.model}` already, expected another one")
    place = _begin(old, meta)
    with writer(old.folder / place, meta) as new:
        _fill(old, new, lambda: model, settings, report)
        have = {item.id for item in new.snapshot.all_items()}
        lost = [item for item in old.snapshot.all_items() if item.id not in have]
        if lost and not drop_missing:
            raise _lost(old.folder, lost, report)
        report.removed = len(lost)
        quarantine = {**old.snapshot.quarantine(), **(new.snapshot.quarantine() if lost else {})}
        if quarantine != new.snapshot.quarantine():
            new.commit(quarantine=quarantine)
        report.quarantined = len(quarantine)
        _switch(old, new.head, meta, place)


def cancel(old: Writer) -> bool:
    """Give up an unfinished move, and say whether there was one."""
    if not old.head.migrating:
        return False
    old.lead_to(replace(old.head, commit=old.head.commit + 1, migrating=""))
    return True


def _begin(old: Writer, meta: Meta) -> str:
    """Find the files for the new model that were begun, or begin them."""
    folder, head = old.folder, old.head
    if head.migrating:
        try:
            if read_meta(folder / head.migrating).fingerprint == meta.fingerprint:
                return head.migrating
        except CollectionError:
            pass  # begun and damaged: anew
    place = f"models/{head.commit + 1:06d}"
    with told(folder):
        (folder / place).mkdir(parents=True, exist_ok=True)
        write_meta(folder / place, meta)
        write_head(folder / place, Head())
    old.lead_to(replace(head, commit=head.commit + 1, migrating=place))
    return place


def _fill(old: Writer, new: Writer, model: Callable[[], Any], settings: Settings, report: SyncReport) -> None:
    """Bring the new files up to what the old ones hold."""
    items, entries = {}, Known(old.snapshot).by_key
    paths = {entry.id: key for key, entry in entries.items()}
    for item in old.snapshot.all_items():
        items[paths[item.id]] = item
    done = Known(new.snapshot).by_key
    current = {item.id: item for item in new.snapshot.all_items()}
    outdated = [
        entry.id
        for key, entry in done.items()
        if key not in entries or not _same(entry, entries[key], current[entry.id], items[key])
    ]
    if outdated:
        new.commit(removed=outdated)
    known = Known(new.snapshot)
    root = old.snapshot.root
    todo = Plan(unchanged=len(known.by_key))
    todo.fresh = [
        Picture(key, os.path.join(root or "", os.fsdecode(key)), entry.size, entry.mtime_ns)
        for key, entry in sorted(entries.items())
        if key not in known.by_key
    ]
    moved = "" if root is None else os.fspath(root)
    ingest = Again(entries, new, model, known, Held(items, entries), settings, report)
    ingest.run(todo, root=moved if moved != new.head.root else None)


def _same(new: Entry, old: Entry, new_item: Item, old_item: Item) -> bool:
    """Say whether an item is in the new files as it is in the old ones."""
    return new == old and (new_item.captions, new_item.metadata) == (old_item.captions, old_item.metadata)


def _switch(old: Writer, head: Head, meta: Meta, place: str) -> None:
    """Make the new files the collection. Named snapshots stay, with the model that they were made with."""
    commit = max(head.commit, old.head.commit) + 1
    led = replace(
        head,
        commit=commit,
        next_id=max(head.next_id, old.head.next_id),
        root=old.head.root,
        place=place,
        migrating="",
        history=Log(f"history-{commit:06d}.jsonl"),
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known = {"commit": commit, "time": now, "items": led.items, "store": led.store, "root": led.root}
    with told(old.folder):
        led = replace(led, history=append(old.folder / place, led.history, [known]))
    old.lead_to(led)
    with told(old.folder):
        write_meta(old.folder, meta)


def _lost(folder: Path, lost: list[Item], report: SyncReport) -> CollectionError:
    reasons = {broken.path: broken.reason for broken in report.broken}
    lines = [f"{item.path}: {_reason(item, reasons)}" for item in lost[:NAMED]]
    if len(lost) > NAMED:
        lines.append(f"and {len(lost) - NAMED:,} more")
    pictures = "1 picture" if len(lost) == 1 else f"{len(lost):,} pictures"
    return CollectionError(
        "\n".join([f"{folder}: {pictures} cannot be encoded anew, so the old model stays in use", *lines]),
        "put them back, run `crossbit index` if they were deleted on purpose, or leave them out with `--drop-missing`; "
        "what was encoded is kept",
    )


def _reason(item: Item, reasons: dict[str, str]) -> str:
    if not os.path.lexists(item.path):
        return "it is not there any more"
    for path, reason in reasons.items():
        if os.fspath(item.path).endswith(path):
            return reason
    return "it was broken when it was last read"
