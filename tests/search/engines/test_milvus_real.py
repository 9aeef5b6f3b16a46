"""A real Milvus server: the contract, collections on it, and what a server that is killed does to them.

It is started by the fixture from an environment of its own, see `milvus_server.py`, and stopped at the end.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.search import Collection
from crossbit.search import far as far_module
from crossbit.search import ingest as ingest_module
from crossbit.search.engines import milvus
from crossbit.search.engines.remote import MilvusEngine
from crossbit.search.ledger import read_ledger
from crossbit.testing import check_engine
from crossbit.testing.engine import scan
from search.fakes import COLOURS, FakeModel, paint
from search.milvus_server import MilvusServer, missing
from search.test_mirror import CONDITIONS, fill, rows_of, same

pytest.importorskip("pymilvus")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.filterwarnings("ignore"),  # pymilvus' own
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    made = MilvusServer(tmp_path_factory.mktemp("milvus"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait as long as it takes on a busy machine, and ask the server even where a scan here would be sooner done."""
    monkeypatch.setattr(milvus, "PATIENCE", 400.0)
    monkeypatch.setattr(milvus, "_CALL_SECONDS", 200.0)
    monkeypatch.setattr(far_module, "PATIENCE", 400.0)
    monkeypatch.setattr(far_module, "FEW", 0)


@pytest.mark.parametrize("row", ["uint8", "float32"])
def test_contract(server: MilvusServer, row: Any) -> None:
    assert "exact" in check_engine(lambda: MilvusEngine(server.url, row))


def test_more_answers_than_a_server_gives_and_ties_without_end(server: MilvusServer) -> None:
    engine = MilvusEngine(f"{server.url}/ties", "uint8")
    draw = np.random.default_rng(0)
    kinds = draw.integers(0, 256, (3, 8), dtype=np.uint8)
    rows = kinds[draw.choice(3, 20_000, p=[0.9, 0.07, 0.03])]
    ids = draw.permutation(20_000)
    engine.add(ids, rows)
    assert len(engine) == 20_000
    for k in (10, 300):  # 18,000 codes tie, and 16,384 are what a question may ask for
        best, _ = scan(kinds[:1], ids, rows, k)
        assert engine.search(kinds[:1], k).ids.tolist() == best.tolist()
    found, _ = engine.stamps()
    assert found.tolist() == list(range(20_000))
    assert engine.drop()


def test_the_same_answers(server: MilvusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, here = fill(tmp_path, FakeModel(), f"{server.url}/same")
    assert not read_ledger(there.folder).runs
    asked = itertools.count()
    nearest = MilvusEngine.nearest
    monkeypatch.setattr(MilvusEngine, "nearest", lambda *a, **b: (next(asked), nearest(*a, **b))[1])
    same(there, here)
    for where in CONDITIONS:
        same(there, here, ["red"], where=where)
    same(there, here, ["red"], where=CONDITIONS[3], candidates=4)
    assert next(asked) > 2 * len(CONDITIONS)
    assert there.check_engine() == (0, 0)
    for collection in (there, here):
        collection.delete([1, 2, 30])
    same(there, here)
    again = Collection.import_from(f"{server.url}/same", tmp_path / "again")  # as if the folder were lost
    again = Collection.open(again.folder, FakeModel())
    same(again, here)
    assert [item.metadata for item in again] == [item.metadata for item in here]
    there.use_engine("auto")
    assert not [name for name in there_tables(server) if name.startswith("same_")]


def there_tables(server: MilvusServer) -> list[str]:
    return list(MilvusEngine(f"{server.url}/none", "uint8").server.call("list_collections"))


def test_the_server_is_killed_in_the_middle_of_an_ingest(
    server: MilvusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are indexed in commits of 40; in the middle of a call that brings rows the server is killed, and comes again."""
    monkeypatch.setattr(ingest_module, "COMMIT_ITEMS", 40)
    model = FakeModel()
    for number in range(400):
        colour = list(COLOURS)[number % 8]
        paint(tmp_path / "pictures" / f"{number:04d}.png", colour, size=(8, 6), mark=number + 1)
    calls, killed = itertools.count(), threading.Event()
    upsert = MilvusEngine.upsert

    def restart() -> None:
        server.kill()
        killed.set()
        server.start()

    again = threading.Thread(target=restart)

    def upsert_and_die(*args: Any, **named: Any) -> None:
        if next(calls) == 7:
            again.start()
            killed.wait(60)  # so the call meets a server that is gone
        upsert(*args, **named)

    monkeypatch.setattr(MilvusEngine, "upsert", upsert_and_die)
    there = Collection.create(tmp_path / "there", model, engine=f"{server.url}/killed")
    report = there.sync(tmp_path / "pictures")
    again.join(300)
    assert killed.is_set()
    assert (report.added, len(there)) == (400, 400)
    here = Collection.create(tmp_path / "here", model)
    here.sync(tmp_path / "pictures")
    same(there, here)  # whatever has arrived, and whatever waits
    there.delete([0])
    here.delete([0])
    assert not read_ledger(there.folder).runs
    tables = there.snapshot.far.mirror.tables  # type: ignore[union-attr]
    for table in tables.values():
        assert table.stamps()[0].tolist() == sorted(rows_of(here))
    assert there.check_engine() == (0, 0)  # nothing was lost and nothing is there twice
    same(there, here)
