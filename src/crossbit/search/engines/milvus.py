"""Server: calls of a Milvus server, made again while it does not answer. The only door to pymilvus."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossbit.errors import EngineError, UsageError

log = logging.getLogger("crossbit")

SCHEME = "milvus://"
SECURE = "milvus+https://"
TOKEN = "CROSSBIT_MILVUS_TOKEN"
"""The environment variable with `user:password` or a token; it is never kept in a collection."""

LIMIT = 16_384
"""Answers that a server gives to one question."""

_ADDRESS = re.compile(
    r"milvus(\+https)?://([^\s/?#@:]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?(?:/([A-Za-z_][A-Za-z0-9_]{0,99}))?/?"
)
PATIENCE = 60.0
"""Seconds that a server is waited for."""

_CALL_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_OURS = re.compile(
    r"cannot parse|parse expression|illegal|invalid (param|expr|type)|find collection|dimension|schema|not match|"
    r"not exist|not found|permission|unauthenticated|auth|unsupported|should be|must be",
    re.IGNORECASE,
)
"""What a server says when the call itself is at fault: making it again would not help."""
_LOST = re.compile(r"(collection|table)\b.*not (found|exist)|find collection")
_PASSES = re.compile(
    r"unavailable|not ready|not healthy|no available|connect|timeout|deadline|rate limit|not loaded|recover"
)
"""What it says while it starts, moves data or is asked too much; goes before `_OURS`."""


@dataclass(frozen=True)
class Address:
    """`milvus://HOST:PORT/NAME`: where a server listens, and what the tables there are called."""

    host: str
    port: int = 19530
    name: str = ""
    secure: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address.

        Raises:
            UsageError: it is none.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or not 0 < int(match[3] or 19530) < 65536:
            hint = "NAME is of letters, digits and `_`; `milvus+https://` for a server with TLS"
            if "@" in text:
                text, hint = (
                    f"{text.split('://')[0]}://...",
                    f"give user and password in the environment: {TOKEN}=user:password",
                )
            raise UsageError(f"engine {text!r}, expected `milvus://HOST:PORT` or `milvus://HOST:PORT/NAME`", hint)
        return cls(match[2], int(match[3] or 19530), match[4] or "", bool(match[1]))

    def named(self, name: str) -> Address:
        """Give the address of other tables on the same server."""
        return replace(self, name=name)

    @property
    def uri(self) -> str:
        """Give the address as pymilvus takes it."""
        return f"http{'s' if self.secure else ''}://{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{SECURE if self.secure else SCHEME}{self.host}:{self.port}" + (f"/{self.name}" if self.name else "")


def is_address(engine: str) -> bool:
    """Say whether an engine's name is the address of a server."""
    return engine.startswith(("milvus:", "milvus+"))


class Server:
    """Makes calls of a Milvus server, again and with growing pauses while it does not answer.

    Args:
        address: where it listens.
        patience: seconds after which a call that fails is an error; None for `PATIENCE`.
    """

    def __init__(self, address: Address, patience: float | None = None) -> None:
        self.address, self.patience = address, PATIENCE if patience is None else patience
        self._client: Any = None

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        """Make a call of the client's. Every call of ours may be made twice: none depends on what it finds.

        Raises:
            EngineError: the server did not answer for as long as `patience`, or refuses.
        """
        until, pause, said = time.monotonic() + self.patience, _FIRST_PAUSE, False
        while True:
            try:
                self._client = self._client or open_client(self.address)
                return getattr(self._client, name)(*args, **{"timeout": _CALL_SECONDS, **named})
            except ImportError as error:
                raise EngineError(
                    "MilvusEngine: pymilvus is not installed", "pip install 'crossbit[milvus]'"
                ) from error
            except Exception as error:  # pymilvus hands on those of gRPC and of its own, in many families
                told = " ".join(str(error).split())[:300] or type(error).__name__
                if not _passes(told):
                    lost = "`crossbit collection engine --check` brings the rows again" if _LOST.search(told) else ""
                    raise EngineError(f"{self.address}: {name}: {told}", lost) from error
                if time.monotonic() + pause > until:
                    raise EngineError(
                        f"{self.address}: no answer within {self.patience:g} s ({told})",
                        "is the server running, and the address right? What was committed is safe in the folder",
                    ) from error
                if not said:
                    log.warning("%s does not answer (%s), trying again for %g s", self.address, told, self.patience)
                    said = True
                self._client = None
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def create(self, name: str, kind: str, width: int, partitions: Sequence[str], note: str) -> None:
        """Make a table for rows of a kind, with an exact index, and make it ready for searching."""
        if not self.call("has_collection", name):
            from pymilvus import CollectionSchema, DataType, FieldSchema

            vector = DataType.FLOAT_VECTOR if kind == "float32" else DataType.BINARY_VECTOR
            fields = [
                FieldSchema("id", DataType.INT64, is_primary=True),
                FieldSchema("row", vector, dim=width if kind == "float32" else 8 * width),
                FieldSchema("owner", DataType.INT64),
                FieldSchema("stamp", DataType.INT64),
                FieldSchema("facts", DataType.JSON),
            ]
            schema = CollectionSchema(fields, description=note, enable_dynamic_field=True)
            self.call("create_collection", name, schema=schema, consistency_level="Strong")
        for partition in partitions:
            if not self.call("has_partition", name, partition):
                self.call("create_partition", name, partition)
        if "row" not in self.call("list_indexes", name):
            from pymilvus import MilvusClient

            index = MilvusClient.prepare_index_params()
            index.add_index(
                field_name="row",
                index_name="row",
                index_type="FLAT" if kind == "float32" else "BIN_FLAT",
                metric_type=_METRIC[kind],
            )
            self.call("create_index", name, index)
        self.call("load_collection", name)

    def query(self, name: str, where: str, columns: list[str], partitions: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Give some columns of the rows that a condition lets through, not more than `LIMIT`."""
        limit: dict[str, Any] = {} if columns == ["count(*)"] else {"limit": LIMIT}
        limit |= {"partition_names": list(partitions)} if partitions else {}
        found = self.call("query", name, filter=where, output_fields=columns, consistency_level="Strong", **limit)
        return [dict(one) for one in found]

    def search(
        self, name: str, kind: str, query: Any, limit: int, where: str, partitions: list[str], strong: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give distances and ids of the nearest rows, best first as the server orders them."""
        found = self.call(
            "search",
            name,
            [query],
            filter=where,
            limit=limit,
            anns_field="row",
            search_params={"metric_type": _METRIC[kind], "params": {}},
            consistency_level="Strong" if strong else "Bounded",
            **({"partition_names": partitions} if partitions else {}),
        )[0]
        distances = np.array([one["distance"] for one in found], dtype=np.float32)
        return distances, np.array([one["id"] for one in found], dtype=np.int64)


_METRIC = {"float32": "IP", "uint8": "HAMMING"}


def _passes(told: str) -> bool:
    """Say whether a call may succeed when it is made again, from what the server said."""
    return bool(_PASSES.search(told.lower())) or not _OURS.search(told)


def connect(address: Address) -> Server:
    """Give what calls of a server are made through."""
    return Server(address)


def open_client(address: Address) -> Any:
    """Open a connection. The tests put another server behind it."""
    from pymilvus import MilvusClient

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it prints a trace for every call that we make again
    return MilvusClient(uri=address.uri, token=os.environ.get(TOKEN, ""), timeout=10)
