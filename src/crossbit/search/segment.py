"""Segments: items and their rows, written once and never changed, read through memory maps.

    items.arrow    one record batch: id, key, sha256, size, mtime_ns, ..., captions, and metadata as `kind:name` columns
    vectors.npy    (R, E) float16, or int8 with scales.npy: the picture's row, then its captions', item by item
    codes.npy      (R, K/8) packed
    dead-N.npy     places of items that a later commit replaced or removed

Items stand by ascending id. Every item is whole here, rows included: joining two segments needs no third.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from crossbit.errors import CollectionError
from crossbit.search.arrow import FILE_FIELDS, column_of, integers
from crossbit.search.durable import Receipt, sync_folder
from crossbit.search.engines.flat import quantise, restore
from crossbit.search.engines.scan import Block
from crossbit.search.head import Meta, SegmentCard
from crossbit.search.metadata import columns, rows_of
from crossbit.search.records import VIEWS, Record

FIXED = pa.schema(
    [
        ("id", pa.int64()),
        *FILE_FIELDS,
        ("captions", pa.list_(pa.string())),
    ]
)

CHECKED_AT_OPEN = 16 << 20
"""Files up to this size are checked against their checksum when they are opened: a flipped bit in an offset could otherwise be
followed anywhere, and one in a row would move a score in silence. It costs a millisecond a megabyte; larger files are left to
`verify`, but for the header of an array, which is read and compared."""

REPAIR = "`crossbit collection verify` names all damage, `crossbit collection repair` mends what can be mended"

_GATHER = 1 << 14  # rows copied at a time while writing


@dataclass(frozen=True)
class Part:
    """Items on their way into a segment, from memory or from another segment.

    Args:
        table: living items only, ascending ids.
        spans: where each item's rows begin and end in the arrays, which may hold others in between.
    """

    table: pa.Table
    spans: Int64[np.ndarray, "2 n"]
    arrays: dict[str, np.ndarray]


class Segment:
    """An open segment. Its arrays are memory maps, so opening costs the same for ten items and ten million."""

    def __init__(self, folder: Path, card: SegmentCard) -> None:
        self.folder, self.card = folder / "segments" / card.name, card
        self._blocks: dict[str, Block] = {}
        for name, receipt in card.files.items():
            size = (self.folder / name).stat().st_size
            if size != receipt.size:
                raise CollectionError(
                    f"{self.folder / name}: {size:,} bytes, expected {receipt.size:,}: the file is damaged",
                    REPAIR,
                )
            if receipt.size <= CHECKED_AT_OPEN and Receipt.of(self.folder / name) != receipt:
                raise self._damaged(name, "its checksum is not the one that was committed")
        self.table = self._table()
        self.ids: Int64[np.ndarray, " n"] = integers(self.table.column("id"))
        self.arrays = {
            name.removesuffix(".npy"): self._array(name, card.rows)
            for name in ("vectors.npy", "scales.npy", "codes.npy")
            if name in card.files
        }
        self.alive = np.ones(card.items, dtype=bool)
        if card.dead_file:
            self.alive[self._array(card.dead_file, card.dead)] = False

    def _table(self) -> pa.Table:
        try:
            table = pa.ipc.open_file(pa.memory_map(os.fspath(self.folder / "items.arrow"))).read_all()
        except pa.ArrowInvalid as error:
            raise self._damaged("items.arrow", str(error).splitlines()[0][:200]) from error
        if table.num_rows != self.card.items:
            raise self._damaged("items.arrow", f"{table.num_rows:,} items, expected {self.card.items:,}")
        return table

    def _array(self, name: str, rows: int) -> np.ndarray:
        """Map an array, whose header must be that of an array of so many rows."""
        try:
            array: np.ndarray = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:  # a writer dropped the segment just now: who opens it looks for the newer commit
            raise
        except Exception as error:  # a damaged header is text that is parsed: it fails in many ways
            raise self._damaged(name, (str(error).splitlines() or [type(error).__name__])[0][:200]) from error
        if len(array) != rows:
            raise self._damaged(name, f"{len(array):,} rows, expected {rows:,}")
        return array

    def _damaged(self, name: str, why: str) -> CollectionError:
        return CollectionError(f"{self.folder / name}: damaged, {why}", REPAIR)

    @property
    def table_bytes(self) -> int:
        """Give the size of the table of items."""
        return self.card.files["items.arrow"].size

    @property
    def names(self) -> list[str]:
        """Name the metadata columns, each `kind:name`."""
        return [name for name in self.table.schema.names if ":" in name]

    @cached_property
    def first(self) -> Int64[np.ndarray, " n1"]:
        """Give where each item's rows begin; made when it is first asked for, since opening should not touch every item."""
        offsets = integers(self.table.column("captions").chunk(0).offsets)
        found: np.ndarray = offsets - offsets[0] + np.arange(len(offsets))
        return found

    @cached_property
    def row_ids(self) -> Int64[np.ndarray, " R"]:
        """Give the id of every row."""
        if self.card.rows == self.card.items:  # no captions
            return self.ids * VIEWS
        counts = np.diff(self.first)
        view = np.arange(self.first[-1]) - np.repeat(self.first[:-1], counts)
        found: np.ndarray = np.repeat(self.ids * VIEWS, counts) + view
        return found

    @cached_property
    def row_alive(self) -> Bool[np.ndarray, " R"] | None:
        """Say which rows belong to living items; None when all do."""
        return None if self.alive.all() else np.repeat(self.alive, np.diff(self.first))

    def block(self, name: str) -> Block:
        """Give "vectors" or "codes" as an engine takes them, without copying; each time the same one."""
        if name not in self._blocks:
            scales = self.arrays.get("scales") if name == "vectors" else None
            held = None if scales is None else np.asarray(scales)
            self._blocks[name] = Block(self.row_ids, self.arrays[name], held, self.row_alive)
        return self._blocks[name]

    def places(self, ids: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " f"]:
        """Give the places of those ids that live here."""
        at = np.searchsorted(self.ids, ids)
        at[at == len(self.ids)] = 0
        found = (self.ids[at] == ids) & self.alive[at] if len(self.ids) else np.zeros(len(ids), dtype=bool)
        living: np.ndarray = at[found]
        return living

    def records(self, places: Int64[np.ndarray, " m"]) -> list[Record]:
        """Give items whole, as they were committed; embeddings as they are held, in float32."""
        table = self.table.take(column_of(places))
        fixed = {name: table.column(name).to_pylist() for name in FIXED.names}
        metadata, rows = rows_of(table, self.names), [self.rows(int(place)) for place in places]
        names = FIXED.names[:-1]
        return [
            Record(
                **{name: fixed[name][n] for name in names},
                captions=tuple(fixed["captions"][n]),
                metadata=metadata[n],
                embedding=rows[n][0],
                code=rows[n][1],
            )
            for n in range(len(places))
        ]

    def rows(self, place: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Give the rows of one item: embeddings in float32, packed codes."""
        span = slice(int(self.first[place]), int(self.first[place + 1]))
        held = {name: np.array(array[span]) for name, array in self.arrays.items()}
        return restore(held["vectors"], held.get("scales")) if "vectors" in held else None, held.get("codes")

    def part(self) -> Part:
        """Give the living items, to be joined with others."""
        places = np.flatnonzero(self.alive)
        starts, ends = self.first[:-1][places], self.first[1:][places]
        return Part(self.table.take(column_of(places)), np.stack([starts, ends]), self.arrays)


def part_of(records: Sequence[Record], meta: Meta) -> Part:
    """Lay records out as a part."""
    records = sorted(records, key=lambda record: record.id)
    fixed = {name: pa.array([getattr(r, name) for r in records], FIXED.field(name).type) for name in FIXED.names[:-1]}
    fixed["captions"] = pa.array([list(r.captions) for r in records], FIXED.field("captions").type)
    table = pa.table({**fixed, **columns([r.metadata for r in records])})
    first = np.concatenate([[0], np.cumsum([1 + len(r.captions) for r in records])]).astype(np.int64)
    arrays: dict[str, np.ndarray] = {}
    if meta.dim:
        rows = np.concatenate([r.embedding for r in records if r.embedding is not None])
        arrays["vectors"], scales = quantise(rows, meta.vectors)  # type: ignore[arg-type]
        if scales is not None:
            arrays["scales"] = scales
    if meta.bits:
        arrays["codes"] = np.concatenate([r.code for r in records if r.code is not None])
    return Part(table, np.stack([first[:-1], first[1:]]), arrays)


def write_segment(folder: Path, name: str, parts: Iterable[Part]) -> SegmentCard:
    """Join parts into a new segment; the disk has everything when this returns, but no commit names it yet."""
    parts = [part for part in parts if part.table.num_rows]
    target = folder / "segments" / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    joined = pa.concat_tables([part.table for part in parts], promote_options="default")
    order = np.argsort(np.concatenate([integers(chunk) for chunk in joined.column("id").chunks]), kind="stable")
    table = joined.take(column_of(order)).combine_chunks()
    if any(column.num_chunks > 1 for column in table.columns):
        raise CollectionError(f"{target}: more than 2 GB of paths, captions or metadata for one segment")
    with (target / "items.arrow").open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    source = np.repeat(np.arange(len(parts)), [part.table.num_rows for part in parts])[order]
    starts, ends = np.concatenate([part.spans for part in parts], axis=1)[:, order]
    rows = int((ends - starts).sum())
    for array in parts[0].arrays:
        like = parts[0].arrays[array]
        _write_rows(
            target / f"{array}.npy", (rows, *like.shape[1:]), like.dtype, _gather(parts, array, source, starts, ends)
        )
    files = {path.name: Receipt.of(path, sync=True) for path in sorted(target.iterdir())}
    sync_folder(target)
    sync_folder(target.parent)
    return SegmentCard(name, table.num_rows, rows, files=files)


def _gather(
    parts: Sequence[Part], array: str, source: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> Iterator[np.ndarray]:
    """Give the rows of all items in their new order, a portion at a time, so that memory stays bounded."""
    counts = ends - starts
    begin = 0
    while begin < len(source):
        stop = begin + max(1, int(np.searchsorted(np.cumsum(counts[begin : begin + _GATHER]), _GATHER)))
        some = counts[begin:stop]
        offsets = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        at = np.repeat(starts[begin:stop], some) + offsets
        which = np.repeat(source[begin:stop], some)
        like = parts[0].arrays[array]
        rows = np.empty((len(at), *like.shape[1:]), like.dtype)
        for number in np.unique(which):
            mine = which == number
            rows[mine] = parts[number].arrays[array][at[mine]]
        yield rows
        begin = stop


def _write_rows(path: Path, shape: tuple[int, ...], dtype: np.dtype, portions: Iterable[np.ndarray]) -> None:
    """Write an .npy file portion by portion; not through a memory map, where a full disk is a signal and not an error."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for portion in portions:
            file.write(portion.tobytes())


def write_dead(folder: Path, segment: Segment, dead: Int64[np.ndarray, " d"], commit: int) -> SegmentCard:
    """Write which items of a segment are dead, beside the list of the commit before."""
    name = f"dead-{commit:06d}.npy"
    path = segment.folder / name
    with path.open("wb") as file:
        np.save(file, np.sort(dead))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(segment.folder)
    card = segment.card
    files = {file: receipt for file, receipt in card.files.items() if file != card.dead_file}
    return SegmentCard(card.name, card.items, card.rows, len(dead), name, {**files, name: Receipt.of(path)})
