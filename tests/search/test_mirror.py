"""Collections whose rows are on a server: the same answers as without one, whatever happens to the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.errors import CollectionError, EngineError, UsageError
from crossbit.search import Collection
from crossbit.search import far as far_module
from crossbit.search.engines import milvus, remote
from crossbit.search.expression import facts_of, metadata_of, superset
from crossbit.search.ledger import Ledger, read_ledger
from search.fakes import COLOURS, FakeModel, paint
from search.milvus_fake import FakeServer

pytest.importorskip("pymilvus")

URL = "milvus://somewhere:19530/shop"
WORDS = ["red meadow", "green", "blue sky at night", "a yellow one", "black", "purple orange"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    made = FakeServer()
    monkeypatch.setattr(milvus, "open_client", made.client)
    monkeypatch.setattr(milvus, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(far_module, "PATIENCE", 0.05)
    monkeypatch.setattr(far_module, "FEW", 0)  # nothing is scanned here because it is little
    return made


@pytest.fixture
def filled(tmp_path: Path, model: FakeModel) -> Iterator[tuple[Collection, Collection]]:
    two = fill(tmp_path, model, URL)
    yield two
    for collection in two:
        collection.close()


def fill(tmp_path: Path, model: FakeModel, url: str) -> tuple[Collection, Collection]:
    """Give the same pictures twice: on a server, and in a folder alone."""
    pictures, metadata, captions = [], [], []
    for number in range(60):
        colour = list(COLOURS)[number % 8]
        pictures.append(paint(tmp_path / "pictures" / f"{number:03d}.png", colour, size=(8, 6), mark=number + 1))
        captions.append([f"{colour} thing {number % 5}", "a meadow"][: number % 3])
        facts: dict[str, Any] = {"year": 2000 + number % 20, "author": ["Ann", "Bob", 'C "x"'][number % 3]}
        facts |= {"seen": date(2024, 1, 1 + number % 28), "kept": number % 4 == 0} if number % 2 else {}
        facts |= {"size": number / 7, "tags": [number]} if number % 5 else {"size": "large"}
        metadata.append(facts)
    two = [Collection.create(tmp_path / name, model, engine=e) for name, e in (("there", url), ("here", "auto"))]
    for collection in two:
        collection.add(pictures, captions=captions, metadata=metadata)
    return two[0], two[1]


def answers(collection: Collection, **asked: Any) -> list[tuple[int, float, str]]:
    return [(hit.id, hit.score, hit.why) for hit in collection.search(**asked)]


def same(there: Collection, here: Collection, texts: Sequence[str] = WORDS[:3], **asked: Any) -> None:
    for words in texts:
        for k in (1, 7, 100):
            assert answers(there, text=words, k=k, **asked) == answers(here, text=words, k=k, **asked)


def on_server(server: FakeServer, name: str) -> set[int]:
    (table,) = (table for key, table in server.tables.items() if key.startswith("shop_") and key.endswith(name))
    return set(table["rows"])


def test_the_same_answers(server: FakeServer, filled: tuple[Collection, Collection]) -> None:
    there, here = filled
    assert there.meta.engine == URL
    assert not read_ledger(there.folder).runs
    assert on_server(server, "codes") == on_server(server, "vectors") == set(rows_of(here))
    server.calls.clear()
    same(there, here)
    assert server.calls.count("search") >= 9  # it was the server that answered
    same(there, here, candidates=5)
    row = here.snapshot.embeddings(3)[0]
    assert row is not None
    assert answers(there, embedding=row[0], k=9) == answers(here, embedding=row[0], k=9)


def rows_of(collection: Collection) -> list[int]:
    return [int(n) for s in collection.snapshot.segments for n in s.row_ids[np.repeat(s.alive, np.diff(s.first))]]


@pytest.mark.parametrize(("dim", "bits"), [(0, 64), (40, 0)])
def test_models_with_one_kind_of_rows(server: FakeServer, pictures: Path, tmp_path: Path, dim: int, bits: int) -> None:
    model = FakeModel(dim=dim, bits=bits)
    there = Collection.create(tmp_path / "there", model, engine=URL)
    here = Collection.create(tmp_path / "here", model)
    for collection in (there, here):
        collection.sync(pictures)
    same(there, here)
    assert len(server.tables) == 1


def test_a_row_tells_modality_and_owner(server: FakeServer, filled: tuple[Collection, Collection]) -> None:
    table = next(table for name, table in server.tables.items() if name.endswith("vectors"))
    assert {row["partition"] for row in table["rows"].values() if row["id"] % 65536 == 0} == {"image"}
    assert {row["partition"] for row in table["rows"].values() if row["id"] % 65536} == {"text"}
    assert all(row["owner"] == row["id"] // 65536 for row in table["rows"].values())
    assert json.loads(table["rows"][0]["said"])["size"] > 0
    assert table["rows"][65537]["said"] == "green thing 1"


CONDITIONS = [
    "year > 2010",
    "2010 >= year and not author = 'Ann'",
    "author in ('Ann', 'Bob') or kept",
    "not (kept or year < 2005)",
    "author = 'C \"x\"'",
    "seen > '2024-01-15'",
    "seen between '2024-01-03' and '2024-01-20' and year != 2007",
    "size < 3.5",
    "size >= 2",
    "size = 'large'",
    "size is null or kept is not null",
    "author like 'A%'",
    "author ilike 'a%'",
    "author not like '%n'",
    "name like '00%' and bytes > 10",
    "id < 30 and captions >= 1",
    "bytes < year",
    "modified > '2020-01-01'",
    "year > 2010.5 and year <= 2015.0",
    "not year = 2003.5",
    "kept is null",
    "folder = ''",
    "year < 1990",
]


def test_conditions(server: FakeServer, filled: tuple[Collection, Collection]) -> None:
    there, here = filled
    for where in CONDITIONS:
        server.calls.clear()
        same(there, here, where=where)
        same(there, here, where=where, candidates=4)
        assert ("search" in server.calls) == bool(here.search("red", where=where)), where
    assert not here.search("red", where="year < 1990")


def test_what_is_asked_of_the_server() -> None:
    fields = {"year": {"int", "float"}, "name": {"text"}, "on": {"flag"}, 'a"b': {"text"}, "day": {"date"}}
    own = {"year", "on", 'a"b', "day"}

    def ask(where: str) -> str:
        return superset(where, fields, own)[0].removesuffix(' or facts["?"] == 1')

    assert ask("year > 3") == '((facts["float:year"] > 3.0) or (facts["int:year"] > 3))'
    assert ask("not on") == '((facts["flag:on"] == false))'
    assert ask("name like 'ab%'") == '((facts["=name"] like "ab%"))'
    assert ask("day = '1970-01-02'") == '((facts["date:day"] == 86400000000))'
    # what cannot be said is left out of an `and`, and makes an `or` let everything through
    assert superset("on and name like '%b'", fields, own)[1] == ["name like '%b'"]
    assert ask("on and name like '%b'") == '(((facts["flag:on"] == true)))'
    assert ask("on or name like '%b'") == ""
    assert ask("not (on or name like '%b')") == '(((facts["flag:on"] == false)))'
    assert superset("\"a\"\"b\" = 'x' or name ilike 'Q%'", fields, own) == (
        "",
        ["a\"b = 'x'", "name ilike 'Q%'"],
    )


def test_facts_come_back_as_metadata() -> None:
    from crossbit.search.metadata import clean
    from crossbit.search.records import Record

    told = clean(
        {
            "a": 1,
            "b": 2.0,
            "c": "x",
            "d": date(1960, 5, 6),
            "e": datetime(1999, 1, 2, 3, 4, 5, 678),
            "f": True,
            "g": [1, "z"],
        }
    )
    record = Record(3, b"x/y.png", b"s", 10, 5_000, True, b"", ("one",), told, None, None)
    facts = json.loads(json.dumps(facts_of(record, "x/y.png")))
    assert metadata_of(facts) == told
    assert (facts["=folder"], facts["=name"], facts["=modified"], facts["=captions"]) == ("x", "y.png", 5, 1)
    assert facts_of(Record(3, b"k", b"s", 1, 1, True, b"", (), {"t": "x" * 60_000}, None, None), "k") == {"?": 1}


def test_too_much_metadata_is_filtered_here(
    server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path
) -> None:
    there = Collection.create(tmp_path / "there", model, engine=URL)
    files = sorted(pictures.rglob("*.png"))
    there.add(files, metadata=[{"n": n, "long": "x" * (70_000 if n == 3 else 3)} for n in range(8)])
    assert sorted(hit.metadata["n"] for hit in there.search("red", k=9, where="n > 2")) == [3, 4, 5, 6, 7]


def test_changes_follow(server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    there, here = (
        Collection.create(tmp_path / name, model, engine=e) for name, e in (("there", URL), ("here", "auto"))
    )
    for step in range(4):
        if step == 1:
            (pictures / "a" / "green.txt").write_text("a meadow\na field\n")
            paint(pictures / "new.png", "red", mark=9)
        if step == 2:
            (pictures / "a" / "green.txt").write_text("one")  # a row fewer
            paint(pictures / "a" / "white.png", "black", mark=3)
            (pictures / "new.png").unlink()
        for collection in (there, here):
            if step < 3:
                collection.sync(pictures)
            else:
                collection.delete([0, 1])
                collection.compact()
        assert on_server(server, "codes") == on_server(server, "vectors") == set(rows_of(here))
        same(there, here)
    assert there.check_engine() == (0, 0)


def test_a_server_that_goes_away(
    server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(milvus, "PATIENCE", 0.01)
    there, here = (
        Collection.create(tmp_path / name, model, engine=e) for name, e in (("there", URL), ("here", "auto"))
    )
    for collection in (there, here):
        collection.sync(pictures)
    assert there.search("red")
    server.fails = lambda name: name != "search"
    for number in range(3):
        paint(pictures / f"more-{number}.png", "blue", mark=50 + number)
    for collection in (there, here):
        report = collection.sync(pictures)
        assert report.added == 3
    assert "what it lacks (3 items) is searched here" in caplog.text
    assert len(read_ledger(there.folder).items) == 3
    same(there, here)  # the server answers for the rest
    server.fails = lambda _: True
    there._server = None
    with pytest.raises(EngineError, match="no answer within"):
        there.search("blue")
    server.fails = lambda _: False
    here.delete([4])
    there.delete([4])  # the next writer brings what waits
    assert not read_ledger(there.folder).runs
    assert on_server(server, "codes") == set(rows_of(here))
    same(there, here)


def test_calls_that_fail_now_and_then(server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    server.fails = lambda name: draw.random() < 0.2
    server.lost_answers = lambda name: draw.random() < 0.2 and name in ("upsert", "delete", "create_collection")
    there = Collection.create(tmp_path / "there", model, engine=URL)
    there.sync(pictures)
    assert len(there.search("red", k=99)) == 8
    server.fails = server.lost_answers = lambda _: False
    assert there.check_engine() == (0, 0)


def test_a_server_that_forgot(server: FakeServer, filled: tuple[Collection, Collection]) -> None:
    there, here = filled
    for table in server.tables.values():
        for number in sorted(table["rows"])[:10]:
            del table["rows"][number]
        table["rows"][99 * 65536] = {**table["rows"][65536 * 20], "id": 99 * 65536, "owner": 99}
    assert there.check_engine() == (20, 2)
    assert there.check_engine() == (0, 0)
    same(there, here)
    server.tables.clear()
    with pytest.raises(EngineError, match="--check` brings the rows again"):
        there.search("red")
    rows = len(rows_of(here))
    assert there.check_engine() == (2 * rows, 0)
    same(there, here)


def test_a_commit_that_was_not_noted_is_noticed(
    server: FakeServer, filled: tuple[Collection, Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = filled
    with monkeypatch.context() as patch:  # as by a program that knows nothing of servers
        patch.setattr("crossbit.search.writer.mirror_of", lambda *_: None)
        there.delete([3, 4])
    here.delete([3, 4])
    server.calls.clear()
    same(there, here)
    assert "search" not in server.calls  # nothing is known of the server, so all is searched here
    there.delete([5])
    here.delete([5])
    server.calls.clear()
    same(there, here)
    assert "search" in server.calls


def test_moving_to_a_server_and_back(server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    moved, here = (Collection.create(tmp_path / name, model) for name in ("moved", "here"))
    for collection in (moved, here):
        collection.sync(pictures)
    other = Collection.open(moved.folder, model)
    assert len(other.search("red")) == 8
    moved.use_engine("milvus://somewhere")
    assert moved.meta.engine.startswith("milvus://somewhere:19530/crossbit_")
    assert len(server.tables) == 2
    same(moved, here)
    same(other, here)
    assert other.meta.engine == moved.meta.engine  # who has it open goes along
    moved.use_engine("milvus://elsewhere/b")
    assert sorted(name[:2] for name in server.tables) == ["b_", "b_"]
    same(moved, here)
    moved.use_engine("scan")
    assert not server.tables
    assert not (moved.folder / "milvus.json").exists()
    server.calls.clear()
    same(moved, here)
    same(other, here)
    assert server.calls == []
    moved.use_engine(URL)
    moved.use_engine("auto", keep=True)
    assert len(server.tables) == 2
    assert moved.verify().ok


def test_a_move_to_a_server_that_is_not_there(
    server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "PATIENCE", 0.01)
    collection = Collection.create(tmp_path / "here", model)
    collection.sync(pictures)
    server.fails = lambda _: True
    with pytest.raises(EngineError, match="no answer within"):
        collection.use_engine(URL)
    with pytest.raises(EngineError, match="no answer within"):
        Collection.create(tmp_path / "new", model, engine=URL)
    assert Collection.open(collection.folder, model).meta.engine == "auto"
    assert len(collection.search("red")) == 8
    with pytest.raises(UsageError, match="searched by the engine 'auto'"):
        collection.check_engine()
    with pytest.raises(UsageError, match="expected one of auto, scan, mih, hnsw or milvus"):
        collection.use_engine("faiss")


def test_two_folders_do_not_share_tables(server: FakeServer, model: FakeModel, tmp_path: Path) -> None:
    Collection.create(tmp_path / "one", model, engine=URL)
    with pytest.raises(EngineError, match="belongs to another collection"):
        Collection.create(tmp_path / "two", model, engine=URL)
    Collection.create(tmp_path / "one", model, engine=URL, replace=True)
    assert len(server.tables) == 2


def test_moving_to_another_model(server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    there = Collection.create(tmp_path / "there", model, engine=URL)
    there.sync(pictures)
    new = FakeModel("other", dim=48, bits=96, seed=3)
    there.migrate(new)
    here = Collection.create(tmp_path / "here", new)
    here.sync(pictures)
    assert len(server.tables) == 2  # those of the model before are gone
    server.calls.clear()
    same(there, here)
    assert "search" in server.calls
    paint(pictures / "late.png", "red", mark=77)
    for collection in (there, here):
        collection.sync(pictures)
    same(there, here)


def test_time_travel_needs_no_server(server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    there = Collection.create(tmp_path / "there", model, engine=URL)
    there.sync(pictures)
    there.take_snapshot("before")
    there.delete([0, 1, 2])
    server.calls.clear()
    assert len(there.search("red", k=99, at="before")) == 8
    assert server.calls == []
    there.restore("before")
    assert len(there.search("red", k=99)) == 8
    assert there.check_engine() == (0, 0)


def test_a_ledger_that_is_damaged(server: FakeServer, filled: tuple[Collection, Collection]) -> None:
    there, here = filled
    (there.folder / "milvus.json").write_text("{}")
    same(there, here)
    with pytest.raises(EngineError, match="belongs to another collection"):
        there.check_engine()


def test_a_folder_made_again_from_the_server(
    server: FakeServer, filled: tuple[Collection, Collection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = filled
    for collection in (there, here):
        collection.delete([7, 20])
    monkeypatch.setattr(remote, "LISTED", 64)  # many pages
    again = Collection.import_from(URL, tmp_path / "again")
    assert (again.meta.fingerprint, again.meta.bits, again.meta.dim) == (here.meta.fingerprint, 64, 40)
    then, now = (
        {item.id: (item.captions, item.metadata, item.sha256, item.modified) for item in collection}
        for collection in (here, again)
    )
    assert then == now
    again = Collection.open(again.folder, FakeModel())
    same(again, here)
    assert again.meta.engine == "auto"
    server.tables.clear()
    with pytest.raises(CollectionError, match="has no tables of ours"):
        Collection.import_from(URL, tmp_path / "never")


def test_indexing_after_that_encodes_nothing(
    server: FakeServer, pictures: Path, model: FakeModel, tmp_path: Path
) -> None:
    (pictures / "a" / "green.txt").write_text("a meadow")
    Collection.create(tmp_path / "lost", model, root=pictures, engine=URL).sync(pictures)
    Collection.import_from(URL, tmp_path / "again")
    again = Collection.open(tmp_path / "again", model)
    model.calls.clear()
    report = again.sync(pictures)
    assert (report.unchanged, report.added, report.changed, report.encoded) == (8, 0, 0, 0)
    assert model.calls == []
    assert again.search("a meadow")[0].path == (pictures / "a" / "green.png")


def test_ledger_by_hand() -> None:
    ledger = Ledger(everything=False, runs=((2, 4), (9, 9)))
    assert ledger.items.tolist() == [2, 3, 4, 9]
    assert ledger.waiting(np.array([1, 2, 4, 5, 9, 10])).tolist() == [False, True, True, False, True, False]
    assert ledger.without(np.array([3, 9])).runs == ((2, 2), (4, 4))
    assert Ledger().waiting(np.array([1])).tolist() == [True]
    assert Ledger(everything=False).waiting(np.array([1])).tolist() == [False]
