"""Server tables: a collection made again from the rows that a Milvus server has, when its folder is lost.

Items come with ids, captions, metadata, embeddings (as they were held) and codes, but not with commits of the past or the list
of broken files: `index` over the folder of pictures finds those again, and encodes nothing that did not change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import CollectionError
from crossbit.search.engines.milvus import Address, Server
from crossbit.search.engines.remote import MilvusEngine
from crossbit.search.exchange.base import PORTION, Portion, Source
from crossbit.search.expression import CUT, metadata_of
from crossbit.search.records import VIEWS


def read_server(url: str) -> Source:
    """Open the tables of a collection on a server.

    Args:
        url: `milvus://HOST:PORT/NAME`, as it was made with; NAME_FINGERPRINT where there are tables of several models.

    Raises:
        CollectionError: there are no such tables, or of several models.
        EngineError: the server does not answer.
    """
    address = Address.parse(url)
    server = Server(address)
    names = server.call("list_collections")
    kinds = ("_vectors", "_codes")
    stems = {name.removesuffix(kind) for name in names for kind in kinds if name.endswith(kind)}
    found = sorted(stem for stem in stems if address.name and (stem == address.name or stem[:-9] == address.name))
    if len(found) != 1:
        have = ", ".join(found or sorted(stems)) or "no tables of ours"
        raise CollectionError(
            f"{address}: has {have}, expected those of one collection", "name it: milvus://HOST:PORT/NAME"
        )
    tables = {
        kind: MilvusEngine(address.named(found[0] + kind), row, server=server)  # type: ignore[arg-type]
        for kind, row in (("_vectors", "float32"), ("_codes", "uint8"))
        if found[0] + kind in names
    }
    main = next(iter(tables.values()))
    try:
        told = json.loads(main.note)
        model = {key: str(told[key]) for key in ("model", "fingerprint", "reference")}
        dim, bits = int(told["dim"]), int(told["bits"])
    except (ValueError, KeyError, TypeError) as error:
        raise CollectionError(f"{main.address}: its note does not say which model made it") from error
    items = main.count(partitions=("image",))
    notes = ("commits of the past are not on a server",)
    return Source(Path(found[0]), items, dim, bits, _portions(tables), model=model, notes=notes)


def _portions(tables: dict[str, MilvusEngine]) -> Iterator[Portion]:
    main, other = next(iter(tables.values())), tables.get("_codes")
    waiting: list[list[dict[str, Any]]] = []
    rows = main.records(["id", "row", "facts", "said"])
    for _, group in groupby(rows, key=lambda row: row["id"] // VIEWS):
        waiting.append(list(group))
        if len(waiting) == PORTION:
            yield _portion(waiting, main, other)
            waiting = []
    if waiting:
        yield _portion(waiting, main, other)


def _portion(items: list[list[dict[str, Any]]], main: MilvusEngine, other: MilvusEngine | None) -> Portion:
    flat = [row for item in items for row in item]
    ids = np.array([row["id"] for row in flat], dtype=np.int64)
    first = [item[0] for item in items]
    for row in first:
        if row["id"] % VIEWS or "said" not in row or CUT in row["facts"]:
            raise CollectionError(
                f"{main.address}: item {row['id'] // VIEWS} is not whole there, expected its picture's row and metadata",
                "`crossbit collection engine --check` where its folder still is",
            )
    held = np.stack([row["row"] for row in flat])
    dense = main.kind == "float32"
    codes = held if not dense else None if other is None or other is main else other.rows(ids)
    return Portion(
        keys=[bytes.fromhex(json.loads(row["said"])["key"]) for row in first],
        captions=[tuple(str(row.get("said", "")) for row in item[1:]) for item in items],
        metadata=[metadata_of(row["facts"]) for row in first],
        embeddings=held if dense else None,
        codes=codes,
        ids=np.array([row["id"] // VIEWS for row in first], dtype=np.int64),
        facts=[_file(json.loads(row["said"])) for row in first],
    )


def _file(said: dict[str, Any]) -> dict[str, Any]:
    plain = {name: said[name] for name in ("size", "mtime_ns", "from_folder")}
    return {**plain, **{name: bytes.fromhex(said.get(name, "")) for name in ("sha256", "sidecar")}}
