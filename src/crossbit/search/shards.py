"""Shards: a folder encoded by any number of processes or machines, each its part, put together without copying.

    OUT/listing.json               the pictures, in order; written by whichever process comes first
    OUT/shard-0002-of-0008/        a collection of every eighth picture, from the second on
    OUT/shard-0002-of-0008/shard.json   written when it is done

The id of an item is its place in the listing, so shards cannot clash and the outcome is that of one process. A shard is a
collection: it can be stopped, run again, verified. Putting together links its segments; the store is made from them by the
next writer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossbit.errors import CollectionError, UsageError
from crossbit.search.durable import read_json, sync_folder, told, write_json, write_whole, writing
from crossbit.search.head import Head, Meta, SegmentCard, read_head, read_meta, root_for_head, write_head, write_meta
from crossbit.search.ingest import Ingest, Settings
from crossbit.search.logs import append
from crossbit.search.place import check_place, clear
from crossbit.search.plan import Known, plan
from crossbit.search.records import SyncReport
from crossbit.search.sidecars import Sidecars
from crossbit.search.snapshots import link
from crossbit.search.verify import verify
from crossbit.search.walk import Broken, Picture, walk
from crossbit.search.writer import lines_of, writer

LISTING = "listing.json"


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder, in the order that gives them their ids."""

    keys: tuple[bytes, ...]

    @property
    def fingerprint(self) -> str:
        """Give a hash of all names."""
        return hashlib.sha256(b"\0".join(self.keys)).hexdigest()[:16]


@dataclass(frozen=True)
class Shard:
    """Which part: `number` from 1 to `of`."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= 9999:
            raise UsageError(f"shard {self.number}/{self.of}, expected 1/N to N/N with N up to 9999")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `2/8`.

        Raises:
            UsageError: it is written otherwise.
        """
        number, slash, of = text.partition("/")
        if not slash or not number.isdecimal() or not of.isdecimal():
            raise UsageError(f"shard {text!r}, expected a part and how many there are, such as 2/8")
        return cls(int(number), int(of))

    @property
    def name(self) -> str:
        """Give the name of its folder."""
        return f"shard-{self.number:04d}-of-{self.of:04d}"


class Numbered(Ingest):
    """Gives new items their places in the listing as ids."""

    def __init__(self, ids: Mapping[bytes, int], *arguments: Any) -> None:
        super().__init__(*arguments)
        self.numbers = ids

    def new_id(self, picture: Picture) -> int:
        """Give the place of the picture."""
        return self.numbers[picture.key]


def embed(
    place: Path, meta: Meta, model: Callable[[], Any], folder: Path, shard: Shard, settings: Settings, *, retry: bool
) -> SyncReport:
    """Encode a shard; what is done already is left alone.

    Args:
        place: the shard's collection, which exists.
        meta: what it is made with.
        model: gives the model.
        folder: of the pictures.
        shard: which part.
        settings: how to read and encode.
        retry: read broken files again though they did not change.
    """
    listing, report = listing_of(place.parent, folder), SyncReport()
    numbers = {key: number for number, key in enumerate(listing.keys) if number % shard.of == shard.number - 1}
    with writer(place, meta) as committing:
        walked = walk(folder, skip=[place.parent])
        sidecars, known = Sidecars(walked), Known(committing.snapshot)  # tables name pictures of all shards
        walked.pictures = [picture for picture in walked.pictures if picture.key in numbers]
        walked.broken = [broken for broken in walked.broken if shard.number == 1 or broken.key in numbers]
        if shard.number > 1:  # what is wrong with a table is told once
            sidecars.problems.clear()
        todo = plan(walked, sidecars, known, committing.snapshot.quarantine(), retry=retry)
        root = root_for_head(folder, place)
        run = Numbered(numbers, committing, model, known, sidecars, settings, report)
        run.run(todo, root=root if root != committing.head.root else None)
        done = {
            "shard": shard.number,
            "of": shard.of,
            "listing": listing.fingerprint,
            "items": len(committing.snapshot),
        }
        with told(place):
            write_json(place / "shard.json", done)
    return report


def listing_of(out: Path, folder: Path) -> Listing:
    """Read the listing that the shards share, or make it: of several that try, the first one wins.

    Raises:
        CollectionError: it is damaged.
    """
    path = out / LISTING
    if not path.is_file():
        keys = [picture.key for picture in walk(folder, skip=[out]).pictures]
        record = {"pictures": [os.fsdecode(key) for key in keys]}
        body = json.dumps({**record, "checksum": _checksum(record)}).encode()
        partial = out / f"{LISTING}.{os.getpid()}.partial"
        with told(out):
            out.mkdir(parents=True, exist_ok=True)
            write_whole(partial, body)
            try:
                os.link(partial, path)  # fails where somebody was first, unlike a rename
            except FileExistsError:
                pass
            finally:
                partial.unlink()
    try:
        record = json.loads(path.read_bytes())
        if record.pop("checksum") != _checksum(record):
            raise ValueError
        return Listing(tuple(os.fsencode(name) for name in record["pictures"]))
    except (ValueError, KeyError) as error:
        raise CollectionError(
            f"{path}: damaged, expected the pictures of all shards", "remove it with all shards"
        ) from error


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def merge(out: Path, target: Path, root: Path, *, replace_old: bool = False) -> Head:
    """Put all shards together to a collection, by links to their segments.

    Args:
        out: the folder of the shards.
        target: where the collection goes; new, empty, or with `replace_old` a collection.
        root: the folder of the pictures.
        replace_old: drop the collection that is there.

    Raises:
        CollectionError: shards are missing, not done, damaged, or not of one listing and model.
    """
    places = _complete(out)
    metas = [read_meta(place) for place in places]
    for place, meta in zip(places, metas, strict=True):
        if replace(meta, created="", version="") != replace(metas[0], created="", version=""):
            raise CollectionError(
                f"{place}: made with model `{meta.model}` ({meta.fingerprint}, {meta.vectors}), the first shard with "
                f"`{metas[0].model}` ({metas[0].fingerprint}, {metas[0].vectors})"
            )
    check_place(target, replace_old)
    with told(target):
        target.mkdir(parents=True, exist_ok=True)
    with writing(target), told(target):
        clear(target)
        cards: list[SegmentCard] = []
        broken: list[Broken] = []
        next_id = 0
        for place in places:
            head = read_head(place)
            next_id = max(next_id, head.next_id)
            cards += [_linked(place, card, target, f"{place.name[6:10]}-{card.name}") for card in head.segments]
            broken += _quarantine_of(place)
        write_meta(target, metas[0])
        listing = listing_of(out, root)
        led = Head(1, 0, max(next_id, len(listing.keys)), root_for_head(root, target), tuple(cards))
        if broken:
            name = "quarantine-000001.jsonl"
            led = replace(led, quarantine=name, quarantine_receipt=write_whole(target / name, lines_of(broken)))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = {"commit": 1, "time": now, "items": led.items, "store": 0, "root": led.root}
        led = replace(led, history=append(target, led.history, [known]))
        write_head(target, led)
    return led


def _quarantine_of(place: Path) -> Sequence[Broken]:
    from crossbit.search.snapshot import open_snapshot

    return list(open_snapshot(place, read_meta(place)).quarantine().values())


def _complete(out: Path) -> list[Path]:
    """Give the folders of all shards, in order."""
    found = sorted(path for path in out.glob("shard-*-of-*") if path.is_dir()) if out.is_dir() else []
    if not found:
        raise CollectionError(f"{out}: no shards in it", "make them: `crossbit embed FOLDER --shard 1/N --output OUT`")
    records = {}
    for place in found:
        if (place / "shard.json").is_file():
            records[place] = read_json(place / "shard.json")
    of = int(found[0].name.rpartition("-")[2])
    if any(place.name.rpartition("-")[2] != found[0].name.rpartition("-")[2] for place in found):
        raise CollectionError(f"{out}: shards of different divisions: {', '.join(place.name for place in found[:4])}")
    done = {int(record["shard"]) for record in records.values()}
    if missing := sorted(set(range(1, of + 1)) - done):
        parts = ", ".join(f"{number}/{of}" for number in missing[:6]) + (", ..." if len(missing) > 6 else "")
        raise CollectionError(
            f"{out}: shards {parts} are not done", "run `crossbit embed` for them; it goes on where it was"
        )
    if len({record["listing"] for record in records.values()}) > 1:
        raise CollectionError(
            f"{out}: the shards are of different listings: the folder was not the same everywhere",
            f"copy one `{LISTING}` to every machine and run them again",
        )
    for place in found:
        verify(place).check()
    return found


def _linked(place: Path, card: SegmentCard, target: Path, name: str) -> SegmentCard:
    """Give a shard's segment a second name in the collection."""
    folder = target / "segments" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in card.files:
        link(place / "segments" / card.name / file, folder / file)
    sync_folder(folder)
    sync_folder(folder.parent)
    return replace(card, name=name)
