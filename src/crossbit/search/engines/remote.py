"""MilvusEngine: rows on a Milvus server or cluster, behind the contract of the engines here.

Exact by default: a table has a flat index, answers are asked for until the ties of the last one are all there, and those are
put in order here. What a server cannot do at once (more than 16,384 answers) is done in spans of ids.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Float32, Int64

from crossbit.errors import EngineError
from crossbit.ranking import Ranking
from crossbit.search.engines.asking import Asking, Found, Keep, Rescore, both
from crossbit.search.engines.base import Row, Rows, best_of, check_rows, padded
from crossbit.search.engines.milvus import LIMIT, Address, connect

LISTED = 4_096
"""Ids named in one condition."""
SENT_BYTES = 8 << 20
"""Of rows sent at once: servers take 64 MB, and count what stands around the rows as well."""

_END = 1 << 62


class MilvusEngine:
    """Hold rows in a table of a Milvus server.

    A row has an id, belongs to a group, bears a stamp that tells it from other versions of itself, and facts as JSON that
    conditions can ask for.

    Args:
        address: of the server; its name is that of the table, or none for a new one.
        row: "uint8" for packed codes under Hamming distance, "float32" for unit rows under the dot product.
        bits: K; 0 takes eight times the bytes of the first codes.
        partitions: names that a table is divided into when it is made.
        server: what calls are made through, where several tables share one.
    """

    def __init__(
        self,
        address: Address | str,
        row: Row = "uint8",
        *,
        bits: int = 0,
        partitions: Sequence[str] = (),
        server: Any = None,
    ) -> None:
        address = Address.parse(address) if isinstance(address, str) else address
        if row not in ("uint8", "float32"):
            raise EngineError(f"MilvusEngine: rows {row!r}, expected 'uint8' or 'float32'")
        self.address, self.kind, self.bits = address, row, bits
        self.name = address.name or f"crossbit_{secrets.token_hex(6)}"
        self.partitions = tuple(partitions)
        self.server = server or connect(address)
        self.width = 0
        if address.name:
            self._look()

    row = property(lambda self: self.kind, doc="Say which rows it takes.")

    # the table

    def _look(self) -> bool:
        """See whether the table is there, and learn its width."""
        if self.width:
            return True
        if not self.server.call("has_collection", self.name):
            return False
        fields = {field["name"]: field for field in self.server.call("describe_collection", self.name)["fields"]}
        kind = "float32" if _type(fields.get("row")) == _FLOAT else "uint8"
        if not {"id", "row", "owner", "stamp", "facts"} <= set(fields) or kind != self.kind:
            raise EngineError(
                f"{self.address}: holds a table `{self.name}` that is none of ours for {self.kind} rows",
                "name another one: `milvus://HOST:PORT/NAME`",
            )
        dim = int(fields["row"]["params"]["dim"])
        self.width = dim if self.kind == "float32" else dim // 8
        self.server.call("load_collection", self.name)
        return True

    def create(self, width: int, *, note: str = "") -> None:
        """Make the table, unless it is there.

        Args:
            width: numbers or bytes of a row.
            note: kept with the table, see `note`.
        """
        if self._look():
            return
        self.server.create(self.name, self.kind, width, self.partitions, note)
        self.width = width

    @property
    def note(self) -> str:
        """Give what was noted when the table was made."""
        return str(self.server.call("describe_collection", self.name).get("description", ""))

    def drop(self) -> bool:
        """Remove the table from the server, and say whether it was there."""
        there = bool(self.server.call("has_collection", self.name))
        if there:
            self.server.call("drop_collection", self.name)
        self.width = 0
        return there

    # rows

    def add(self, ids: Int64[np.ndarray, " N"], rows: Rows) -> None:
        """Take rows under new ids; see `Engine`."""
        where = type(self).__name__
        check_rows(where, rows, self.kind, self.width)
        if ids.dtype != np.int64 or ids.shape != (len(rows),):
            raise EngineError(f"{where}: {ids.shape} {ids.dtype} ids for {len(rows)} rows, expected int64")
        if not len(ids):
            return
        if ids.min() < 0 or len(np.unique(ids)) != len(ids):
            raise EngineError(f"{where}: an id is negative or stands twice, expected each once, from 0 on")
        if self._look():
            held = self.held(ids)
            if len(held):
                raise EngineError(f"{where}: id {held[0]} is held already", "remove it first")
        self.create(rows.shape[1])
        self.upsert(ids, rows)

    def upsert(
        self,
        ids: Int64[np.ndarray, " N"],
        rows: Rows,
        *,
        owners: Int64[np.ndarray, " N"] | None = None,
        stamps: Int64[np.ndarray, " N"] | None = None,
        facts: Sequence[Mapping[str, Any]] | None = None,
        more: Sequence[Mapping[str, Any]] | None = None,
        partition: str = "",
    ) -> None:
        """Put rows in the place of those of the same ids, a portion at a time, each portion again until the server has it.

        Args:
            ids: of the rows.
            rows: as wide as the table.
            owners: what each row belongs to; None: to itself.
            stamps: see `stamps`.
            facts: what conditions can ask for.
            more: what else is kept with a row.
            partition: where to put them; the same one for an id every time.
        """
        step = max(1, SENT_BYTES // max(1, rows.shape[1] * rows.itemsize + 200 + _heaviest(facts, more)))
        for start in range(0, len(ids), step):
            data = [
                {
                    "id": int(ids[n]),
                    "row": rows[n].tobytes() if self.kind == "uint8" else rows[n].tolist(),
                    "owner": int(ids[n] if owners is None else owners[n]),
                    "stamp": 0 if stamps is None else int(stamps[n]),
                    "facts": {} if facts is None else dict(facts[n]),
                    **({} if more is None else more[n]),
                }
                for n in range(start, min(start + step, len(ids)))
            ]
            self.server.call("upsert", self.name, data, **({"partition_name": partition} if partition else {}))

    def remove(self, ids: Int64[np.ndarray, " M"]) -> int:
        """Forget ids and say how many were held."""
        if not self._look():
            return 0
        held = self.held(ids)
        self.forget(held)
        return len(held)

    def forget(self, ids: Int64[np.ndarray, " M"]) -> None:
        """Remove rows by id, whether they are there or not."""
        for start in range(0, len(ids), LISTED):
            self.server.call("delete", self.name, ids=[int(number) for number in ids[start : start + LISTED]])

    def held(self, ids: Int64[np.ndarray, " M"], column: str = "id") -> Int64[np.ndarray, " F"]:
        """Give the ids of the rows whose id, or owner, is among some, in ascending order."""
        found: list[int] = []
        wanted = np.unique(ids)
        step = LISTED if column == "id" else LISTED // 16
        for start in range(0, len(wanted), step):
            condition = _among(wanted[start : start + step], column)
            found += [record["id"] for record in self._pages(condition, ["id"])]
        return np.array(sorted(found), dtype=np.int64)

    def __len__(self) -> int:
        return self.count() if self._look() else 0

    def count(self, where: str = "", partitions: Sequence[str] = ()) -> int:
        """Count the rows that a condition lets through, in some partitions or in all."""
        found = self.server.query(self.name, where, ["count(*)"], list(partitions))
        return int(found[0]["count(*)"])

    def stamps(self) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
        """Give the ids of all rows, ascending, and their stamps."""
        pages = [np.empty((0, 2), dtype=np.int64)]
        for span in self.spans("", LIMIT) if self._look() else ():  # ascending, so a page is sorted by itself
            found = self.server.query(self.name, span, ["id", "stamp"])
            pages.append(np.array(sorted((one["id"], one["stamp"]) for one in found), dtype=np.int64))
        pairs = np.concatenate(pages)
        return pairs[:, 0], pairs[:, 1]

    def rows(self, ids: Int64[np.ndarray, " M"]) -> Rows:
        """Give the rows of some ids.

        Raises:
            EngineError: an id is not held.
        """
        unique, places = np.unique(ids, return_inverse=True)
        found: dict[int, Any] = {}
        for start in range(0, len(unique), LISTED // 4):
            for one in self._pages(_among(unique[start : start + LISTED // 4]), ["id", "row"]):
                found[one["id"]] = self._unpacked(one["row"])
        if missing := [int(number) for number in unique if int(number) not in found]:
            raise EngineError(f"MilvusEngine: id {missing[0]} is not held")
        held = np.stack([found[int(number)] for number in unique]) if len(unique) else np.zeros((0, self.width))
        laid: Rows = held.astype(self.kind)[places]
        return laid

    def records(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Give all rows with some of their columns, by ascending id."""
        for record in self._pages("", columns) if self._look() else ():
            yield {**record, "row": self._unpacked(record["row"])} if "row" in record else record

    def _unpacked(self, row: Any) -> np.ndarray:
        """Give a row as an array; packed codes come as bytes, in a list of one with some versions."""
        if self.kind == "float32":
            return np.asarray(row, dtype=np.float32)
        return np.frombuffer(row[0] if isinstance(row, list) else row, dtype=np.uint8)

    def _pages(self, where: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        for span in self.spans(where, LIMIT if "row" not in columns and "facts" not in columns else LISTED // 4):
            yield from sorted(self.server.query(self.name, span, list(columns)), key=lambda row: int(row["id"]))

    def spans(self, where: str, most: int) -> Iterator[str]:
        """Divide what a condition lets through into spans of ids with not too many rows each, ascending."""
        total = self.count(where)
        if total <= most:
            if total:
                yield where or f"id < {_END}"
            return
        top = 1 << 20
        while top < _END and self.count(both(where, f"id < {top}")) < total:
            top = min(top << 6, _END)
        waiting = [(0, top)]
        while waiting:
            low, high = waiting.pop()
            span = both(where, f"id >= {low} and id < {high}")
            rows = self.count(span)
            if rows > most and high - low > 1:
                middle = (low + high) // 2
                waiting += [(middle, high), (low, middle)]
            elif rows:
                yield span

    # searching

    def search(self, rows: Rows, k: int, allow: Int64[np.ndarray, " M"] | None = None) -> Ranking:
        """Give the k best of every query; see `Engine`."""
        where = f"{type(self).__name__}.search"
        check_rows(where, rows, self.kind, self.width)
        if k < 1:
            raise EngineError(f"{where}: k is {k}, expected 1 or more")
        if not self._look():
            return padded([(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in rows], k)
        return padded([self.nearest(row, k, allow=allow) for row in rows], k)

    def nearest(
        self,
        row: np.ndarray,
        k: int,
        *,
        where: str = "",
        keep: Keep | None = None,
        allow: Int64[np.ndarray, " M"] | None = None,
        rescore: Rescore | None = None,
        partitions: Sequence[str] = (),
        strong: bool = True,
    ) -> Found:
        """Give the k best of one query, all of them, equal scores by ascending id.

        Args:
            row: the query.
            k: how many.
            where: a condition for the server.
            keep: says which ids may be answered; what it refuses is made up for by asking for more.
            allow: the only ids that may be answered.
            rescore: gives the scores that count, of a float query; None reads the rows back and multiplies here.
            partitions: where to look; everywhere by default.
            strong: see whatever the server has said to have; else at least what it had some seconds ago, and sooner.
        """
        ask = Asking(self, row, rescore or self._multiply, partitions, strong)
        if allow is None:
            return ask.best(k, where, keep)
        best: Found = (np.empty(0, np.float32), np.empty(0, np.int64))
        allowed = np.unique(allow)
        for start in range(0, len(allowed), LISTED):
            some = _among(allowed[start : start + LISTED])
            scores, ids = ask.best(k, both(where, some), keep)
            best = best_of(np.concatenate([best[0], scores]), np.concatenate([best[1], ids]), k)
        return best

    def _multiply(self, row: np.ndarray, ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        scores: np.ndarray = np.vecdot(self.rows(ids), row).astype(np.float32)
        return scores

    def scores(self, distances: np.ndarray) -> Float32[np.ndarray, " n"]:
        """Turn what a server gives into scores."""
        if self.kind == "float32":
            return distances.astype(np.float32)
        bits = np.float32(self.bits or 8 * self.width)
        scores: np.ndarray = np.float32(1) - np.float32(2) * distances.astype(np.float32) / bits
        return scores

    # a copy

    CARD: ClassVar[str] = "engine.json"

    def save(self, folder: Path) -> None:
        """Write the rows into a folder: `ids.npy`, `rows.npy`, `engine.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        held = sorted(((one["id"], one["row"]) for one in self.records(["id", "row"])), key=lambda pair: pair[0])
        np.save(folder / "ids.npy", np.array([number for number, _ in held], dtype=np.int64))
        if held:
            np.save(folder / "rows.npy", np.stack([row for _, row in held]))
        card = {"engine": type(self).__name__, "address": str(self.address), "row": self.kind, "bits": self.bits}
        (folder / self.CARD).write_text(json.dumps({**card, "partitions": list(self.partitions)}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Put what `save` wrote into a new table on the server it came from.

        Raises:
            EngineError: another engine wrote the folder, or there is none.
        """
        card = folder / cls.CARD
        said = json.loads(card.read_text()) if card.is_file() else {}
        if said.pop("engine", None) != cls.__name__:
            raise EngineError(f"{folder}: holds no {cls.__name__}, expected what its `save` wrote")
        address = Address.parse(said["address"]).named("")
        engine = cls(address, said["row"], bits=said["bits"], partitions=said["partitions"])
        ids = np.load(folder / "ids.npy", allow_pickle=False)
        if len(ids):
            engine.add(ids, np.load(folder / "rows.npy", allow_pickle=False))
        return engine


_FLOAT = 101
"""How Milvus numbers the type of a field of float vectors."""


def _type(field: Mapping[str, Any] | None) -> int:
    return -1 if field is None else int(field["type"])


def _among(ids: Int64[np.ndarray, " M"], column: str = "id") -> str:
    return f"{column} in [{', '.join(str(int(number)) for number in ids)}]"


def _heaviest(*columns: Sequence[Mapping[str, Any]] | None) -> int:
    """Say how many bytes the heaviest row of some columns of JSON takes."""
    return sum(max((len(json.dumps(one)) for one in column), default=0) for column in columns if column is not None)
