"""Snapshots: commits kept by name, and commits of the past made again from the store.

A snapshot is a folder of its own below the collection, with links to the segments of its commit: it takes no room until
those segments are replaced, and outlives `compact`. Every other commit since the last `compact` is in the store's versions
and is made again from there when it is asked for, in a folder that goes with it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.errors import CollectionError, UsageError
from crossbit.search.durable import sync_folder
from crossbit.search.head import Head, Log, Meta, SegmentCard, read_head, read_meta, write_head, write_meta
from crossbit.search.logs import read_log
from crossbit.search.records import Record, Version
from crossbit.search.segment import part_of, write_segment
from crossbit.search.snapshot import Snapshot

if TYPE_CHECKING:
    from crossbit.search.writer import Writer

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_PORTION = 50_000  # items of a segment that is made again


def take(writer: Writer, name: str) -> None:
    """Keep the last commit by name.

    Raises:
        UsageError: the name cannot be one, or is taken.
    """
    head, folder = writer.head, writer.folder / "snapshots" / name
    if not _NAME.fullmatch(name) or name.isdecimal() or name.endswith(".partial"):
        raise UsageError(f"snapshot {name!r}, expected letters, digits, `.`, `_` and `-`, and not a number alone")
    if folder.exists():
        raise UsageError(f"{writer.folder}: there is a snapshot {name!r} already", f"drop it first: --drop {name}")
    partial = folder.with_name(f"{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for segment in writer.snapshot.segments:
        target = partial / "segments" / segment.card.name
        target.mkdir(parents=True)
        for file in segment.card.files:
            link(segment.folder / file, target / file)
        sync_folder(target)
    partial.mkdir(parents=True, exist_ok=True)
    write_meta(partial, writer.meta)
    place = f"snapshots/{name}"
    none = Log("receipts-000000.jsonl")
    kept = Head(head.commit, 0, head.next_id, head.root, head.segments, receipts=none, place=place)
    write_head(partial, kept)
    partial.rename(folder)
    sync_folder(folder.parent)


def drop(folder: Path, name: str) -> None:
    """Forget a snapshot.

    Raises:
        CollectionError: there is none of that name.
    """
    place = _snapshot_folder(folder, name)
    if place is None:
        raise CollectionError(f"{folder}: no snapshot {name!r}", _have(folder))
    partial = place.with_name(f"{name}.partial")
    place.rename(partial)  # from here on it is gone; what is left of it after a kill is swept
    shutil.rmtree(partial)


def names(folder: Path) -> list[str]:
    """Give the names of the snapshots, in order."""
    place = folder / "snapshots"
    found = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
    return [name for name in found if not name.endswith(".partial")]


def versions(folder: Path, head: Head) -> list[Version]:
    """Give the commits that can be looked at: those since the last `compact`, and the named ones; oldest first."""
    kept = {}
    for name in names(folder):
        then = read_head(folder / "snapshots" / name)
        when = (folder / "snapshots" / name / "head.json").stat().st_mtime
        time = datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")
        kept[name] = Version(then.commit, time, then.items, name)
    log = _kept(read_log(folder / head.place, head.history), head)
    logged = [Version(one["commit"], one["time"], one["items"]) for one in log]
    return sorted([*kept.values(), *logged], key=lambda version: (version.commit, version.name))


def open_at(folder: Path, meta: Meta, head: Head, at: str | int) -> Snapshot:
    """Open a commit of the past.

    Args:
        folder: of the collection.
        meta: what its last commit was made with.
        head: its last commit.
        at: the name of a snapshot, the number of a commit, or a date or time (UTC): the last commit up to then.

    Raises:
        CollectionError: there is no such commit any more.
    """
    text = str(at)
    if (place := _snapshot_folder(folder, text)) is not None:
        return Snapshot(folder, read_meta(place), read_head(place))
    log = read_log(folder / head.place, head.history)
    found = [one for one in log if str(one["commit"]) == text] or _until(log, text)
    if not found:
        raise CollectionError(f"{folder}: no version {text!r}", _have(folder, log))
    chosen = found[-1]
    if chosen["commit"] == head.commit:
        return Snapshot(folder, meta, head)
    if chosen["items"] and not chosen["store"]:
        raise CollectionError(f"{folder}: version {text!r} was not in the store", _have(folder, _kept(log, head)))
    return _again(folder, meta, head, chosen["commit"], int(chosen["store"]), str(chosen["root"]))


def _again(folder: Path, meta: Meta, head: Head, commit: int, version: int, root: str) -> Snapshot:
    """Make a commit again from the store, in a folder that lasts as long as the snapshot."""
    place = tempfile.mkdtemp(prefix="crossbit-past-")
    try:
        cards = segments_from_store(folder / head.place, Path(place), meta, version)
        snapshot = Snapshot(folder, meta, Head(commit, 0, head.next_id, root, tuple(cards), place=place))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    weakref.finalize(snapshot, shutil.rmtree, place, ignore_errors=True)
    return snapshot


def segments_from_store(data: Path, target: Path, meta: Meta, version: int) -> list[SegmentCard]:
    """Write the living items of a version of the store as segments."""
    from crossbit.search.store import read_version

    cards: list[SegmentCard] = []
    waiting: list[Record] = []
    for record in read_version(data / "store", meta, version) if version else ():
        waiting.append(record)
        if len(waiting) == _PORTION:
            cards.append(write_segment(target, f"{len(cards):06d}", [part_of(waiting, meta)]))
            waiting = []
    if waiting:
        cards.append(write_segment(target, f"{len(cards):06d}", [part_of(waiting, meta)]))
    return cards


def restore(writer: Writer, past: Snapshot) -> tuple[int, int]:
    """Make the items of the past the last commit again, with their ids; say how many came back and how many went.

    Raises:
        CollectionError: they were made with another model.
    """
    if past.meta.fingerprint != writer.meta.fingerprint:
        raise CollectionError(
            f"{writer.folder}: that version was made with model `{past.meta.model}`, now it is `{writer.meta.model}`",
            f"migrate first: `crossbit collection migrate --model {past.meta.reference}`",
        )
    now = {item.id: item for item in writer.snapshot.all_items()}
    then = {item.id: item for item in past.all_items()}
    back = [number for number, item in then.items() if now.get(number) != item]
    gone = [number for number in now if number not in then]
    if back or gone or past.head.root != writer.head.root:
        writer.commit(past.records_of(back), gone, root=past.head.root)
    return len(back), len(gone)


def _kept(log: Sequence[dict[str, Any]], head: Head) -> list[dict[str, Any]]:
    """Give the commits that can be made again; of shards that were put together, the store has the later ones."""
    return [one for one in log if one["store"] or not one["items"] or one["commit"] == head.commit]


def _until(log: Sequence[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Give the commits up to a date or time; none where the text is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return []
    if len(text) <= 10:  # a day counts to its end
        moment = moment.replace(hour=23, minute=59, second=59)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return [one for one in log if datetime.fromisoformat(str(one["time"])) <= moment]


def _snapshot_folder(folder: Path, name: str) -> Path | None:
    return folder / "snapshots" / name if name in names(folder) else None


def _have(folder: Path, log: Sequence[dict[str, Any]] = ()) -> str:
    numbers = [str(one["commit"]) for one in log]
    have = [*names(folder), *(numbers if len(numbers) < 12 else [*numbers[:3], "...", *numbers[-6:]])]
    return f"there are {', '.join(have)}; `compact` keeps only those with a name" if have else "none was kept"


def link(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
