"""MilvusEngine against a server in a dictionary, with troubles that a real one has; `test_milvus_real.py` has the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crossbit.errors import EngineError, UsageError
from crossbit.search.engines import Engine, asking, milvus, remote
from crossbit.search.engines.milvus import Address, Server
from crossbit.search.engines.remote import MilvusEngine
from crossbit.testing import check_engine
from crossbit.testing.engine import scan
from search.milvus_fake import FakeServer

pytest.importorskip("pymilvus")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    made = FakeServer()
    monkeypatch.setattr(milvus, "open_client", made.client)
    monkeypatch.setattr(milvus, "_FIRST_PAUSE", 0.001)
    return made


def set_limit(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    for module in (remote, asking):
        monkeypatch.setattr(module, "LIMIT", most)


@pytest.mark.parametrize("row", ["uint8", "float32"])
def test_contract(server: FakeServer, row: Any) -> None:
    def make() -> MilvusEngine:
        return MilvusEngine("milvus://somewhere:19530", row)

    assert isinstance(make(), Engine)
    assert "exact" in check_engine(make)


@pytest.mark.parametrize("row", ["uint8", "float32"])
def test_contract_where_a_server_gives_few_answers(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, row: Any
) -> None:
    server.most = 60  # k is larger, and ties are longer
    set_limit(monkeypatch, 60)
    monkeypatch.setattr(remote, "LISTED", 48)
    check_engine(lambda: MilvusEngine("milvus://somewhere", row), seed=5)


def test_contract_while_calls_fail(server: FakeServer) -> None:
    draw = np.random.default_rng(0)
    server.fails = lambda name: draw.random() < 0.1
    server.lost_answers = lambda name: name in ("upsert", "delete", "create_collection") and draw.random() < 0.2
    check_engine(lambda: MilvusEngine("milvus://somewhere", "uint8"))


def codes(count: int, few: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 256, (few, 4), dtype=np.uint8)
    return draw.permutation(np.arange(0, 3 * count, 3)), kinds[draw.integers(0, few, count)]


@pytest.mark.parametrize("most", [16, 40, 300])
def test_ties_longer_than_an_answer(server: FakeServer, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    server.most = most
    set_limit(monkeypatch, most)
    engine = MilvusEngine("milvus://somewhere", "uint8")
    ids, rows = codes(400, 3)  # three codes: ties of 130
    engine.add(ids, rows)
    for k in (1, 7, 15, 100, 399):
        best, scores = scan(rows[:2], ids, rows, k)
        found = engine.search(rows[:2], k)
        assert found.ids.tolist() == best.tolist()
        np.testing.assert_allclose(found.scores, scores)


@pytest.mark.parametrize("most", [16, 300])
def test_what_may_not_be_answered_is_made_up_for(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    server.most = most
    set_limit(monkeypatch, most)
    engine = MilvusEngine("milvus://somewhere", "uint8")
    ids, rows = codes(400, 50)
    engine.add(ids, rows)
    for share in (0.02, 0.3, 0.95):
        may = np.random.default_rng(1).random(400) < share
        kept = np.sort(ids[may])
        for k in (1, 9, 60):
            best, _ = scan(rows[:1], ids[may], rows[may], k)
            found = engine.nearest(rows[0], k, keep=lambda some, kept=kept: np.isin(some, kept))
            assert found[1].tolist() == [number for number in best[0].tolist() if number >= 0]


def test_bits_that_do_not_fill_a_byte(server: FakeServer) -> None:
    engine = MilvusEngine("milvus://somewhere", "uint8", bits=12)
    engine.add(np.array([1, 2]), np.array([[255, 240], [255, 128]], dtype=np.uint8))
    found = engine.search(np.array([[255, 240]], dtype=np.uint8), 2)
    np.testing.assert_allclose(found.scores[0], [1.0, 0.5])  # 1 - 2 * 3 / 12


def test_rows_and_stamps_are_read_back_in_portions(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limit(monkeypatch, 30)
    monkeypatch.setattr(remote, "LISTED", 40)
    engine = MilvusEngine("milvus://somewhere", "uint8", partitions=("a",))
    ids, rows = codes(200, 90)
    engine.create(4, note="mine")
    engine.upsert(ids, rows, stamps=ids + 7, owners=ids // 10, partition="a")
    assert engine.note == "mine"
    found, stamps = engine.stamps()
    assert found.tolist() == sorted(ids.tolist())
    assert (stamps == found + 7).all()
    np.testing.assert_array_equal(engine.rows(ids[:70]), rows[:70])
    assert engine.held(np.array([4, 0]), "owner").tolist() == [n for n in sorted(ids.tolist()) if n // 10 in (0, 4)]
    engine.upsert(ids[:5], rows[5:10], partition="a")
    np.testing.assert_array_equal(engine.rows(ids[:5]), rows[5:10])
    assert (len(engine), engine.drop(), engine.drop(), len(engine)) == (200, True, False, 0)
    engine.add(ids[:1], rows[:1])
    with pytest.raises(EngineError, match=f"id {ids[1]} is not held"):
        engine.rows(ids[:2])


def test_a_table_of_somebody_else_is_left_alone(server: FakeServer) -> None:
    mine = MilvusEngine("milvus://somewhere/mine", "uint8")
    mine.add(np.array([1]), np.zeros((1, 4), np.uint8))
    assert len(MilvusEngine("milvus://somewhere/mine", "uint8")) == 1
    with pytest.raises(EngineError, match="holds a table `mine` that is none of ours for float32 rows"):
        MilvusEngine("milvus://somewhere/mine", "float32")
    server.tables["mine"]["fields"].pop()
    with pytest.raises(EngineError, match="none of ours"):
        MilvusEngine("milvus://somewhere/mine", "uint8")


def test_patience_ends_and_says_so(
    server: FakeServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(milvus, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(milvus, "_FIRST_PAUSE", 0.5)
    server.fails = lambda name: name == "has_collection"
    calls = Server(Address("somewhere"), patience=20)
    told = r"milvus://somewhere:19530: no answer within 20 s \(StatusCode.UNAVAILABLE"
    with pytest.raises(EngineError, match=told):
        calls.call("has_collection", "x")
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]  # and another five would be too many
    assert server.calls.count("has_collection") == 7
    assert caplog.text.count("does not answer") == 1
    server.calls.clear()
    with pytest.raises(EngineError, match="load_collection: collection not found"):
        calls.call("load_collection", "x")
    assert server.calls == ["load_collection"]  # asking again would not help


def test_loading_what_another_engine_saved(server: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="holds no MilvusEngine"):
        MilvusEngine.load(tmp_path)
    with pytest.raises(EngineError, match="expected 'uint8' or 'float32'"):
        MilvusEngine("milvus://somewhere", "int8")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("milvus://db", Address("db")),
        ("milvus://db:7/", Address("db", 7)),
        ("milvus://10.0.0.1:19531/shop_2", Address("10.0.0.1", 19531, "shop_2")),
        ("milvus+https://[::1]:443/a", Address("[::1]", 443, "a", True)),
    ],
)
def test_addresses(text: str, made: Address) -> None:
    assert Address.parse(text) == made
    assert Address.parse(str(made)) == made


@pytest.mark.parametrize(
    "text", ["milvus://", "milvus:db", "milvus://db:0", "milvus://db:99999", "milvus://db/a-b", "http://db"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="expected `milvus://HOST:PORT`"):
        Address.parse(text)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError) as told:
        Address.parse("milvus://ann:secret@db:19530")
    assert "secret" not in str(told.value)
    assert "CROSSBIT_MILVUS_TOKEN" in str(told.value)


def test_without_pymilvus(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Address) -> Callable[..., Any]:
        raise ImportError("No module named 'pymilvus'")

    monkeypatch.setattr(milvus, "open_client", gone)
    with pytest.raises(EngineError, match="pymilvus is not installed"):
        MilvusEngine("milvus://somewhere/x", "uint8")
