"""Snapshot: a commit, opened for reading. It needs neither LanceDB nor the model, and nobody who writes waits for it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from crossbit.errors import CollectionError
from crossbit.search.arrow import column_of, scalar
from crossbit.search.engines.choice import Choice, choose, open_engine
from crossbit.search.engines.flat import FlatEngine
from crossbit.search.engines.hamming import HammingEngine
from crossbit.search.engines.milvus import is_address
from crossbit.search.engines.scan import ScanEngine
from crossbit.search.head import Head, Meta, SegmentCard, read_head, read_meta, root_of
from crossbit.search.metadata import rows_of
from crossbit.search.records import Item, Record, moment
from crossbit.search.segment import REPAIR, Segment
from crossbit.search.walk import Broken

if TYPE_CHECKING:
    from crossbit.search.far import Far, FarEngine

log = logging.getLogger(__name__)

SHARED_BITS = 1 << 28
"""Bits of all codes from which on several threads scan them: 4 million codes of 64 bits, about a millisecond's."""

BUILT_IN: dict[str, str] = {
    "id": "int",
    "path": "text",
    "name": "text",
    "folder": "text",
    "bytes": "int",
    "modified": "time",
    "captions": "int",
}
"""Fields that every item has, with their kinds; a field of the user's with the same name goes before."""


class Snapshot:
    """The items and rows of one commit.

    Args:
        folder: of the collection.
        meta: what the collection was made with.
        head: the commit.
        before: a snapshot of an earlier commit, whose open segments are used again where they did not change.
    """

    def __init__(self, folder: Path, meta: Meta, head: Head, before: Snapshot | None = None) -> None:
        self.folder, self.meta, self.head = folder, meta, head
        self.data = folder / head.place
        same = before is not None and before.data == self.data
        opened = {} if before is None or not same else {_identity(segment.card): segment for segment in before.segments}
        self.segments: list[Segment] = [
            opened.get(_identity(card)) or Segment(self.data, card) for card in head.segments
        ]

    far: Far | None = None
    """What searches the commit on a server; only the last one has it."""

    def __len__(self) -> int:
        return self.head.items

    @cached_property
    def root(self) -> Path | None:
        """Say what item paths are relative to."""
        return root_of(self.head, self.folder)

    @cached_property
    def rows(self) -> int:
        """Count the living rows: pictures and captions."""
        return sum(int(np.diff(segment.first)[segment.alive].sum()) for segment in self.segments)

    @cached_property
    def views(self) -> int:
        """Give the most rows that one living item has: so many rows can stand for one answer."""
        most = (np.diff(s.first)[s.alive].max(initial=1) for s in self.segments)
        return int(max(most, default=1))

    @cached_property
    def flat(self) -> FlatEngine:
        """Open the exact dense scan."""
        engine = FlatEngine(self.meta.vectors)  # type: ignore[arg-type]
        for segment in self.segments:
            engine.attach(segment.block("vectors"))
        return engine

    @property
    def threads(self) -> int:
        """Say how many threads share a scan of the codes: few are read sooner than a thread has begun."""
        few = self.rows * self.meta.bits < SHARED_BITS
        return 1 if few else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @cached_property
    def choice(self) -> Choice:
        """Choose what searches the codes."""
        engine = "auto" if is_address(self.meta.engine) else self.meta.engine
        return choose(self.rows, self.meta.bits, engine=engine, threads=self.threads)  # type: ignore[arg-type]

    @cached_property
    def hamming(self) -> HammingEngine:
        """Open what searches the codes, and say in the log what was chosen and why."""
        engine = open_engine(self.choice, self.threads)
        log.info("codes: %s", self.choice)
        for segment in self.segments:
            engine.attach(segment.block("codes"))
        return engine

    def over(self, kind: Literal["vectors", "codes"], where: str | None) -> ScanEngine | FarEngine:
        """Give what searches a kind of rows under a condition: here, or on the server that has them."""
        if self.far is not None:
            return self.far.over(self, kind, where)
        return self.flat if kind == "vectors" else self.hamming

    @cached_property
    def own_fields(self) -> dict[str, set[str]]:
        """Name the fields of the items' metadata, with the kinds of their values."""
        found: dict[str, set[str]] = {}
        for segment in self.segments:
            for column in segment.names:
                kind, name = column.split(":", 1)
                found.setdefault(name, set()).add(kind)
        return found

    @property
    def fields(self) -> dict[str, set[str]]:
        """Name every field that a condition may use."""
        return {name: {kind} for name, kind in BUILT_IN.items()} | self.own_fields

    def allowed(self, where: str) -> list[Bool[np.ndarray, " r"]]:
        """Say for the rows of each segment whether a condition lets their item through.

        Raises:
            UsageError: the condition cannot be read, or does not fit the fields.
        """
        from crossbit.search.filters import Filter

        condition = Filter(where, self.fields)
        own = set(BUILT_IN) - set(self.own_fields)
        return [
            np.repeat(condition.mask(s.card.items, _Columns(s, own)) & s.alive, np.diff(s.first))
            for s in self.segments
            if s.first[-1]
        ]

    def items(self, ids: Sequence[int]) -> list[Item]:
        """Give items by id, in that order; unknown ones are left out."""
        found: dict[int, Item] = {}
        wanted = np.asarray(ids, dtype=np.int64)
        for segment in self.segments:
            places = segment.places(wanted)
            if len(places):
                found.update((item.id, item) for item in self._items_at(segment, places))
        return [found[int(number)] for number in ids if int(number) in found]

    def all_items(self) -> Iterator[Item]:
        """Give all living items, segment by segment."""
        for segment in self.segments:
            places = np.flatnonzero(segment.alive)
            for start in range(0, len(places), 1024):
                yield from self._items_at(segment, places[start : start + 1024])

    def _items_at(self, segment: Segment, places: np.ndarray) -> list[Item]:
        table = segment.table.take(column_of(places))
        fixed = {
            name: table.column(name).to_pylist() for name in ("id", "key", "sha256", "size", "mtime_ns", "captions")
        }
        metadata = rows_of(table, segment.names)
        return [
            Item(
                id=fixed["id"][n],
                path=self.path(fixed["key"][n]),
                captions=tuple(fixed["captions"][n]),
                metadata=metadata[n],
                size=fixed["size"][n],
                sha256=fixed["sha256"][n].hex(),
                modified=moment(fixed["mtime_ns"][n]),
            )
            for n in range(len(places))
        ]

    def path(self, key: bytes) -> Path:
        """Give the full path of a key."""
        path = os.fsdecode(key)
        return Path(path) if self.root is None or os.path.isabs(path) else self.root / path

    def embeddings(self, item: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Give an item's rows as they are held: embeddings in float32, packed codes."""
        for segment in self.segments:
            places = segment.places(np.array([item]))
            if len(places):
                return segment.rows(int(places[0]))
        raise CollectionError(f"{self.folder}: no item {item}")

    def records_of(self, ids: Sequence[int]) -> list[Record]:
        """Give items whole by id, in no order; unknown ones are left out."""
        wanted = np.asarray(ids, dtype=np.int64)
        return [record for segment in self.segments for record in segment.records(segment.places(wanted))]

    def records(self, portion: int = 4096) -> Iterator[list[Record]]:
        """Give all living items whole, a portion at a time."""
        for segment in self.segments:
            places = np.flatnonzero(segment.alive)
            for start in range(0, len(places), portion):
                yield segment.records(places[start : start + portion])

    def quarantine(self) -> dict[bytes, Broken]:
        """Read the list of files that could not be used."""
        if not self.head.quarantine:
            return {}
        found = {}
        with (self.data / self.head.quarantine).open("rb") as lines:
            for line in lines:
                record = json.loads(line)
                key = os.fsencode(record["path"])
                found[key] = Broken(key, record["reason"], record["size"], record["mtime_ns"])
        return found


def _identity(card: SegmentCard) -> tuple[str, str]:
    """Say what makes two cards mean the same open files."""
    return card.name, card.dead_file


class _Columns:
    """Gives a filter the typed columns of a segment, and the built-in ones made from its fixed columns."""

    def __init__(self, segment: Segment, built_in: set[str]) -> None:
        self.table, self.names, self.built_in = segment.table, set(segment.names), built_in

    def __call__(self, column: str) -> pa.Array | None:
        if column in self.names:
            return self.table.column(column).chunk(0)
        kind, name = column.split(":", 1)
        return self._made(name) if name in self.built_in and BUILT_IN[name] == kind else None

    def _made(self, name: str) -> pa.Array:
        import pyarrow.compute as pc

        match name:
            case "id":
                return self.table.column("id").chunk(0)
            case "bytes":
                return self.table.column("size").chunk(0)
            case "captions":
                return pc.list_value_length(self.table.column("captions").chunk(0)).cast(pa.int64())
            case "modified":
                return pc.divide(self.table.column("mtime_ns").chunk(0), scalar(1000)).cast(pa.timestamp("us"))
        path = _text(self.table.column("key").chunk(0))
        if name == "path":
            return path
        pattern, kept = (r"(?s)^.*/", "") if name == "name" else (r"(?:^|/)[^/]*$", "")
        return pc.replace_substring_regex(path, pattern, kept)


def _text(keys: pa.Array) -> pa.Array:
    r"""Give paths as text; bytes that are not UTF-8 become escapes such as `\xe4`."""
    try:
        return keys.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([key.decode("utf-8", "backslashreplace") for key in keys.to_pylist()], pa.string())


def open_snapshot(folder: Path, meta: Meta, before: Snapshot | None = None) -> Snapshot:
    """Open the last commit, with what it was made with.

    A writer may drop old segments just while we open them: then there is a newer commit.

    Raises:
        CollectionError: the commit is damaged; the message names the file.
    """
    for _ in range(20):
        head = read_head(folder)
        try:
            meta = read_meta(folder / head.place)  # the engine, or the model, may be another one by now
        except CollectionError:
            if read_head(folder).commit == head.commit:
                raise
            continue  # it moved to another model just now
        try:
            return Snapshot(folder, meta, head, before)
        except FileNotFoundError as error:
            if read_head(folder).commit == head.commit:
                raise CollectionError(
                    f"{error.filename}: missing, expected a file of the collection",
                    REPAIR,
                ) from error
    raise CollectionError(f"{folder}: commits follow each other too fast to open one", "try again")
