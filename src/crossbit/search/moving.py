"""Moving: a collection goes from one engine to another. Its files stay; what changes is where rows are searched."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import get_args

from crossbit.errors import CollectionError, EngineError, UsageError
from crossbit.search.durable import told
from crossbit.search.engines.choice import Wanted
from crossbit.search.engines.milvus import Address, is_address
from crossbit.search.head import read_head, read_meta, write_meta
from crossbit.search.ledger import FILE, read_ledger, write_ledger
from crossbit.search.mirror import Mirror, mirror_of, resolved
from crossbit.search.writer import Writer

log = logging.getLogger("crossbit")


def check_engine_name(engine: str) -> str:
    """Give the name of an engine as it is kept.

    Raises:
        UsageError: there is no such engine, or the address of a server cannot be read.
    """
    if not is_address(engine) and engine not in get_args(Wanted):
        raise UsageError(f"engine {engine!r}, expected one of {', '.join(get_args(Wanted))} or milvus://HOST:PORT")
    return resolved(engine)


def same_engine(asked: str, held: str) -> bool:
    """Say whether a collection is searched by an engine that is asked for: of a server the tables need not be named."""
    if not (is_address(asked) and is_address(held)):
        return asked == held
    wanted, has = Address.parse(asked), Address.parse(held)
    return wanted == has.named(wanted.name and has.name)


def switch(committing: Writer, engine: str, *, keep: bool) -> None:
    """Search with another engine from now on.

    A switch that is killed leaves the collection whole: rows that a server lacks are searched here, and the next writer brings
    them.

    Args:
        committing: the collection, opened for writing.
        engine: the name, as `check_engine_name` gives it.
        keep: leave the tables that the collection has on a server now.

    Raises:
        EngineError: the server does not answer, or other tables have that name; the engine stays as it was.
    """
    old, folder, data = committing.mirror, committing.folder, committing.data
    if engine == committing.meta.engine:
        return
    meta = replace(committing.meta, engine=engine)
    new = mirror_of(data, meta)
    if new is not None:
        new.create()
    with told(folder):
        if new is not None:  # nothing is known of what the new tables have
            write_ledger(data, replace(read_ledger(data), everything=True, runs=()))
        for place in {data, folder}:
            if read_meta(place).fingerprint == meta.fingerprint:
                write_meta(place, meta)
        committing.lead_to(replace(committing.head, commit=committing.head.commit + 1))
    if old is not None and not keep:
        _drop(old)
    if new is None:
        (data / FILE).unlink(missing_ok=True)


def drop_tables(folder: Path) -> None:
    """Remove the tables of a collection that is about to be replaced, as far as its server answers."""
    try:
        data = folder / read_head(folder).place
        if (mirror := mirror_of(data, read_meta(data))) is not None:
            _drop(mirror)
    except CollectionError as error:
        log.warning("%s; tables may be left on a server", error.message)


def _drop(mirror: Mirror) -> None:
    try:
        mirror.drop()
    except EngineError as error:
        log.warning("%s; tables may be left on the server", error.message)
