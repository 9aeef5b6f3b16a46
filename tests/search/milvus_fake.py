"""A Milvus server in a dictionary: as much of `MilvusClient` as we call, with a server's habits that trouble us.

Answers that tie come in any order, a question gets at most `most` answers, and calls fail where a test wants them to.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np

FLOAT, BINARY = 101, 100


class Down(Exception):  # noqa: N818 - as gRPC words it
    """The server is not there."""


class FakeServer:
    """What the tables of a server are; `client` gives a connection to it."""

    def __init__(self, most: int = 16_384, seed: int = 0) -> None:
        self.most, self.tables = most, dict[str, dict[str, Any]]()
        self.random = random.Random(seed)
        self.calls: list[str] = []
        self.fails: Callable[[str], bool] = lambda _: False
        self.lost_answers: Callable[[str], bool] = lambda _: False

    def client(self, _: Any = None) -> FakeClient:
        if self.fails("connect"):
            raise Down("StatusCode.UNAVAILABLE: connection refused")
        return FakeClient(self)


class FakeClient:
    """One connection. Names and arguments are those of `pymilvus.MilvusClient`."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name in ("server",) or name.startswith("_"):
            return found
        server = self.server

        def call(*args: Any, **named: Any) -> Any:
            assert named.pop("timeout") > 0
            server.calls.append(name)
            if server.fails(name):
                raise Down("StatusCode.UNAVAILABLE: connection reset")
            answer = found(*args, **named)
            if server.lost_answers(name):  # it was done, and nobody was told
                raise Down("StatusCode.UNAVAILABLE: connection reset")
            return answer

        return call

    def _table(self, name: str) -> dict[str, Any]:
        if name not in self.server.tables:
            raise Exception(f"collection not found[collection={name}]")
        return self.server.tables[name]

    def has_collection(self, name: str) -> bool:
        return name in self.server.tables

    def list_collections(self) -> list[str]:
        return list(self.server.tables)

    def create_collection(self, name: str, *, schema: Any, consistency_level: str) -> None:
        assert consistency_level == "Strong"
        fields = [{"name": f.name, "type": int(f.dtype), "params": dict(f.params)} for f in schema.fields]
        assert schema.enable_dynamic_field
        self.server.tables[name] = {
            "fields": fields,
            "description": schema.description,
            "rows": {},
            "index": "",
            "loaded": False,
            "partitions": {"_default"},
        }

    def describe_collection(self, name: str) -> dict[str, Any]:
        table = self._table(name)
        return {"fields": table["fields"], "description": table["description"]}

    def drop_collection(self, name: str) -> None:
        self.server.tables.pop(name, None)

    def has_partition(self, name: str, partition: str) -> bool:
        return partition in self._table(name)["partitions"]

    def create_partition(self, name: str, partition: str) -> None:
        self._table(name)["partitions"].add(partition)

    def list_indexes(self, name: str) -> list[str]:
        return [self._table(name)["index"]] if self._table(name)["index"] else []

    def create_index(self, name: str, index: Any) -> None:
        made = next(iter(index))
        kind = {str(f["name"]): f["type"] for f in self._table(name)["fields"]}["row"]
        assert (kind, made.to_dict()["metric_type"]) in ((FLOAT, "IP"), (BINARY, "HAMMING"))
        self._table(name)["index"] = made.index_name

    def load_collection(self, name: str) -> None:
        assert self._table(name)["index"], "loading needs an index"
        self._table(name)["loaded"] = True

    def upsert(self, name: str, data: list[dict[str, Any]], partition_name: str = "_default") -> dict[str, int]:
        table = self._table(name)
        assert partition_name in table["partitions"]
        for one in data:
            assert len(json.dumps(one["facts"])) < 65_536
            row = np.frombuffer(one["row"], np.uint8) if isinstance(one["row"], bytes) else np.array(one["row"], "f4")
            held = table["rows"].get(one["id"])
            assert held is None or held["partition"] == partition_name, "the same id in two partitions"
            kept = json.loads(json.dumps({k: v for k, v in one.items() if k != "row"}))
            table["rows"][one["id"]] = {**kept, "row": row, "partition": partition_name}
        return {"upsert_count": len(data)}

    def delete(self, name: str, *, ids: list[int]) -> dict[str, int]:
        for number in ids:
            self._table(name)["rows"].pop(number, None)
        return {"delete_count": len(ids)}

    def query(
        self,
        name: str,
        *,
        filter: str,  # noqa: A002
        output_fields: list[str],
        consistency_level: str,
        limit: int = 0,
        partition_names: list[str] | None = None,
    ) -> list[dict[str, Any]]:
        assert consistency_level
        table = self._table(name)
        assert table["loaded"]
        holds = condition_of(filter)
        rows = [one for one in table["rows"].values() if holds(one)]
        rows = [one for one in rows if not partition_names or one["partition"] in partition_names]
        if output_fields == ["count(*)"]:
            return [{"count(*)": len(rows)}]
        assert 0 < limit <= 16_384
        self.server.random.shuffle(rows)
        return [{key: self._out(one[key]) for key in ("id", *output_fields) if key in one} for one in rows[:limit]]

    def _out(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [value.tobytes()] if value.dtype == np.uint8 else value.tolist()
        return value

    def search(
        self,
        name: str,
        data: list[Any],
        *,
        filter: str,  # noqa: A002
        limit: int,
        anns_field: str,
        search_params: dict[str, Any],
        consistency_level: str,
        partition_names: list[str] | None = None,
    ) -> list[list[dict[str, Any]]]:
        assert (anns_field, consistency_level in ("Strong", "Bounded")) == ("row", True)
        table = self._table(name)
        assert table["loaded"]
        assert 0 < limit <= self.server.most
        found, holds = [], condition_of(filter)
        asked_of = [one for one in table["rows"].values() if not partition_names or one["partition"] in partition_names]
        for query in data:
            hits = []
            for one in (one for one in asked_of if holds(one)):
                if search_params["metric_type"] == "HAMMING":
                    asked = np.frombuffer(query, np.uint8)
                    distance = float(np.unpackbits(asked ^ one["row"]).sum())
                    key = distance
                else:
                    distance = float(np.dot(np.array(query, "f4"), one["row"]))
                    key = -distance
                hits.append((key, self.server.random.random(), {"id": one["id"], "distance": distance}))
            hits.sort(key=lambda hit: hit[:2])
            found.append([hit for _, _, hit in hits[:limit]])
        return found


class _Missing:
    """What a fact is that a row does not have: no comparison with it is true."""

    def _no(self, _: Any) -> bool:
        return False

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


_MISSING = _Missing()


def _fact(row: dict[str, Any], key: str, other: type | tuple[type, ...]) -> Any:
    value = row["facts"].get(key, _MISSING)
    return value if isinstance(value, other) else _MISSING


def condition_of(condition: str) -> Callable[[dict[str, Any]], bool]:
    """Give a test of rows for a condition of the kind that we write."""
    if not condition:
        return lambda _: True
    text = re.sub(r'facts\["((?:[^"\\]|\\.)*)"\] like "((?:[^"\\]|\\.)*)%"', r'begins("\1", "\2")', condition)
    text = re.sub(r'exists facts\["((?:[^"\\]|\\.)*)"\]', r'has("\1")', text)
    text = re.sub(r'facts\["((?:[^"\\]|\\.)*)"\]', r'fact("\1")', text)
    text = re.sub(r"\btrue\b", "True", re.sub(r"\bfalse\b", "False", text))
    text = re.sub(r"in \[([\d, ]*)\]", r"in {\1}", text) if "in [" in text else text
    code = compile(text, "condition", "eval")

    def holds(row: dict[str, Any]) -> bool:
        facts = row["facts"]
        names = {
            "id": row["id"],
            "owner": row["owner"],
            "fact": lambda key: facts.get(key, _MISSING),
            "has": lambda key: key in facts,
            "begins": lambda key, start: str(_fact(row, key, str)).startswith(start),
        }
        return bool(eval(code, {"__builtins__": {}}, names))

    return holds
