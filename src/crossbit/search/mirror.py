"""Mirror: the rows of a collection on a Milvus server, kept equal to its commits. The folder stays the truth.

Two tables, since older servers hold one kind of vectors in each: NAME_vectors and NAME_codes. A row is the picture of an item
or one of its captions, under the id that it has in the folder; both tables are divided by modality. Beside it lie the facts
that conditions ask for, and with the first table what else makes an item: a collection can be made again from the server.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from crossbit.errors import CollectionError, EngineError
from crossbit.search.engines import milvus
from crossbit.search.engines.milvus import Address, Server, is_address
from crossbit.search.engines.remote import MilvusEngine
from crossbit.search.expression import CUT, facts_of
from crossbit.search.head import Head, Meta, read_meta
from crossbit.search.ledger import read_ledger, write_ledger
from crossbit.search.records import VIEWS, Record
from crossbit.search.snapshot import Snapshot

log = logging.getLogger("crossbit")

PARTITIONS = ("image", "text")
"""Of a table: rows of pictures, rows of captions."""
TEXT_BYTES = 50_000
"""Of a caption, or of what makes an item; a server takes 65,536 in a field."""

_TOLD = ("model", "reference", "fingerprint", "dim", "bits", "vectors")
_PORTION = 2048  # items brought at a time


def mirror_of(folder: Path, meta: Meta) -> Mirror | None:
    """Give the mirror of a collection, if it has one.

    Args:
        folder: where the files of the last commit lie.
        meta: what they were made with.
    """
    return Mirror(folder, meta) if is_address(meta.engine) else None


def left_behind(folder: Path, before: Head, after: Head) -> None:
    """Remove the tables of files that a commit does not name any more: of the model before, of a move that was given up."""
    for place in {before.place, before.migrating or before.place} - {after.place, after.migrating or after.place}:
        try:
            if (mirror := mirror_of(folder / place, read_meta(folder / place))) is not None:
                mirror.drop()
        except (CollectionError, EngineError) as error:
            log.warning("%s; tables of `%s` may be left on the server", error.message, place or folder)


def resolved(engine: str) -> str:
    """Give the name of an engine as it is kept: tables on a server have a name of their own.

    Raises:
        UsageError: the address cannot be read.
    """
    if not is_address(engine):
        return engine
    address = Address.parse(engine)
    return str(address if address.name else address.named(f"crossbit_{secrets.token_hex(6)}"))


class Mirror:
    """What a server has, and how it gets what it lacks."""

    def __init__(self, folder: Path, meta: Meta) -> None:
        self.folder, self.meta = folder, meta
        self.address = Address.parse(meta.engine)
        self.patient = True

    @cached_property
    def server(self) -> Server:
        """Open what calls are made through."""
        return Server(self.address)

    @cached_property
    def tables(self) -> dict[str, MilvusEngine]:
        """Open the tables: "vectors" and "codes", as far as the model gives them."""
        server, meta = self.server, self.meta
        found = {}
        for kind, row, wanted in (("vectors", "float32", meta.dim), ("codes", "uint8", meta.bits)):
            if wanted:
                address = self.address.named(table_name(self.address.name, meta, kind))
                bits = meta.bits if kind == "codes" else 0
                found[kind] = MilvusEngine(address, row, bits=bits, partitions=PARTITIONS, server=server)  # type: ignore[arg-type]
        return found

    def note(self, before: Head, after: Head, items: Iterable[int]) -> None:
        """Write down which items a commit changes, before it is made."""
        write_ledger(self.folder, read_ledger(self.folder).noting(before, after, items))

    def bring(self, snapshot: Snapshot) -> bool:
        """Bring to the server what it lacks, and say whether it has everything now.

        A server that does not answer is waited for once; until it does, what it lacks is searched here.
        """
        ledger = read_ledger(self.folder).waits_for(snapshot.head)
        if not ledger.everything and not ledger.runs:
            return True
        try:
            self.server.patience = milvus.PATIENCE if self.patient else 0.0
            if ledger.everything:
                self.compare(snapshot)
            else:
                self._bring(snapshot, ledger.items)
        except EngineError as error:
            if self.patient:
                what = "everything" if ledger.everything else f"{len(read_ledger(self.folder).items):,} items"
                log.warning("%s; what it lacks (%s) is searched here until it has it", error.message, what)
            self.patient = False
            return False
        self.patient = True
        return True

    def create(self) -> None:
        """Make the tables, and see that they are ours.

        Raises:
            EngineError: the server does not answer, or other tables have that name.
        """
        ledger = read_ledger(self.folder)
        write_ledger(self.folder, ledger)
        mark = {"crossbit": ledger.owner, **{name: getattr(self.meta, name) for name in _TOLD}}
        for kind, table in self.tables.items():
            table.create(self.meta.dim if kind == "vectors" else -(-self.meta.bits // 8), note=json.dumps(mark))
            if not _ours(table, ledger.owner):
                raise EngineError(
                    f"{table.address}: belongs to another collection, expected no such table",
                    "name another one: `milvus://HOST:PORT/NAME`",
                )

    def drop(self) -> None:
        """Remove the tables, if they are ours."""
        owner = read_ledger(self.folder).owner
        for table in self.tables.values():
            if table.width and _ours(table, owner):
                table.drop()

    def compare(self, snapshot: Snapshot) -> tuple[int, int]:
        """Compare everything with the server and mend what differs there; say how many rows were brought and removed.

        Raises:
            EngineError: the server does not answer.
        """
        self.create()
        there = {kind: table.stamps() for kind, table in self.tables.items()}
        here: list[np.ndarray] = []
        brought = 0
        for records in snapshot.records(_PORTION):
            rows = _Rows(records, snapshot)
            here.append(rows.ids)
            for kind, table in self.tables.items():
                ids, stamps = there[kind]
                at = np.searchsorted(ids, rows.ids)
                same = np.isin(rows.ids, ids)
                same[same] = stamps[at[same]] == rows.stamps(kind, self.main)[same]
                brought += rows.bring(table, kind, self.main, ~same)
        mine = np.concatenate([np.empty(0, np.int64), *here])
        removed = 0
        for kind, table in self.tables.items():
            stale = np.setdiff1d(there[kind][0], mine)
            table.forget(stale)
            removed += len(stale)
        head = snapshot.head
        noted = replace(read_ledger(self.folder), everything=False).noting(head, head, ())
        write_ledger(self.folder, replace(noted, everything=False, runs=()))
        return brought, removed

    def _bring(self, snapshot: Snapshot, items: Int64[np.ndarray, " n"]) -> None:
        self.create()
        for start in range(0, len(items), _PORTION):
            some = items[start : start + _PORTION]
            records = snapshot.records_of(some)  # type: ignore[arg-type]
            rows = _Rows(records, snapshot)
            for kind, table in self.tables.items():
                old = table.held(some, "owner")
                if records:
                    rows.bring(table, kind, self.main, np.ones(len(rows.ids), dtype=bool))
                table.forget(np.setdiff1d(old, rows.ids))
            write_ledger(self.folder, read_ledger(self.folder).without(some))

    @property
    def main(self) -> str:
        """Name the table that keeps what makes an item."""
        return next(iter(self.tables))


def _ours(table: MilvusEngine, owner: str) -> bool:
    """Say whether a table is that of a collection, from what was noted when it was made."""
    try:
        return bool(json.loads(table.note)["crossbit"] == owner)
    except (ValueError, KeyError, TypeError):
        return False


def table_name(name: str, meta: Meta, kind: str) -> str:
    """Name a table: another model has others, so that a collection can move from one to the other."""
    return f"{name}_{meta.fingerprint[:8]}_{kind}"


class _Rows:
    """Some items laid out as rows of tables."""

    def __init__(self, records: Sequence[Record], snapshot: Snapshot) -> None:
        self.records = sorted(records, key=lambda record: record.id)
        self.counts = [1 + len(record.captions) for record in self.records]
        ids = [
            record.id * VIEWS + view for record, n in zip(self.records, self.counts, strict=True) for view in range(n)
        ]
        self.ids = np.array(ids, dtype=np.int64)
        self.facts = list(self._facts())
        self.said = list(self._said())

    def _facts(self) -> Iterator[dict[str, Any]]:
        for record, count in zip(self.records, self.counts, strict=True):
            facts = facts_of(record, record.key.decode("utf-8", "backslashreplace"))
            if CUT in facts:
                log.warning("%s: too much metadata for the server; it is filtered here", os.fsdecode(record.key))
            yield from [facts] * count

    def _said(self) -> Iterator[dict[str, Any]]:
        for record in self.records:
            plain = {"size": record.size, "mtime_ns": record.mtime_ns, "from_folder": record.from_folder}
            hexed = {
                name: getattr(record, name).hex() for name in ("key", "sha256", "sidecar") if getattr(record, name)
            }
            yield {"said": json.dumps({**plain, **hexed})}
            for caption in record.captions:
                yield {"said": caption} if len(caption.encode()) <= TEXT_BYTES else {}

    def of(self, kind: str) -> np.ndarray:
        """Give the rows of a table."""
        name = "embedding" if kind == "vectors" else "code"
        found: np.ndarray = np.concatenate([getattr(record, name) for record in self.records])
        return np.ascontiguousarray(found, dtype=np.float32 if kind == "vectors" else np.uint8)

    def stamps(self, kind: str, main: str) -> Int64[np.ndarray, " R"]:
        """Give a number for each row that changes with anything about it."""
        rows = self.of(kind)
        told = [
            json.dumps([facts, said if kind == main else {}]) for facts, said in zip(self.facts, self.said, strict=True)
        ]
        digests = (
            hashlib.blake2b(row.tobytes() + one.encode(), digest_size=8) for row, one in zip(rows, told, strict=True)
        )
        return np.array([int.from_bytes(one.digest(), "big") >> 1 for one in digests], dtype=np.int64)

    def bring(self, table: MilvusEngine, kind: str, main: str, which: np.ndarray) -> int:
        """Send some of the rows to a table, and say how many."""
        if not which.any():
            return 0
        rows, stamps = self.of(kind), self.stamps(kind, main)
        picture = self.ids % VIEWS == 0
        for partition, mine in zip(PARTITIONS, (picture, ~picture), strict=True):
            at = np.flatnonzero(which & mine)
            if len(at):
                table.upsert(
                    self.ids[at],
                    rows[at],
                    owners=self.ids[at] // VIEWS,
                    stamps=stamps[at],
                    facts=[self.facts[n] for n in at],
                    more=[self.said[n] for n in at] if kind == main else None,
                    partition=partition,
                )
        return int(np.count_nonzero(which))
