"""Commits against a plain dictionary: random changes, reopening and compacting give what the dictionary holds."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest

from crossbit.codes import pack
from crossbit.search import Collection
from crossbit.search.head import read_meta
from crossbit.search.metadata import load
from crossbit.search.records import VIEWS, Record
from crossbit.search.snapshot import open_snapshot
from crossbit.search.walk import Broken
from crossbit.search.writer import writer
from search.fakes import FakeModel

DIM, BITS = 8, 16


def record(number: int, random: np.random.Generator, path: str = "") -> Record:
    captions = tuple(f"caption {number} {random.integers(100)}" for _ in range(random.integers(0, 4)))
    rows = random.standard_normal((1 + len(captions), DIM)).astype(np.float16).astype(np.float32)
    metadata: dict[str, Any] = {"n": int(random.integers(10))}
    if random.random() < 0.3:
        metadata[f"field{random.integers(5)}"] = random.choice([1.5, 2.5])
    key, codes = (path or f"{number}.png").encode(), pack(rows @ np.eye(DIM, BITS))
    return Record(number, key, bytes(32), 1, 2, True, b"", captions, metadata, rows, codes)


def stored_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the store as LanceDB has it."""
    table = lancedb.connect(str(folder / "store")).open_table("items")
    table.checkout(open_snapshot(folder, read_meta(folder)).head.store)
    rows: list[dict[str, Any]] = table.search().where("deleted_at IS NULL").limit(100_000).to_list()
    return rows


def stored_pictures(collection: Collection) -> set[int]:
    return {row["id"] for row in stored_rows(collection.folder) if row["view"] == 0}


def check(folder: Path, truth: dict[int, Record]) -> None:
    snapshot = open_snapshot(folder, read_meta(folder))
    assert len(snapshot) == len(truth)
    assert snapshot.rows == sum(len(r.embedding) for r in truth.values() if r.embedding is not None)
    items = {item.id: item for item in snapshot.all_items()}
    assert set(items) == set(truth)
    for number, expected in truth.items():
        item = items[number]
        assert (item.captions, item.metadata) == (expected.captions, expected.metadata)
        assert str(item.path) == expected.key.decode()
        embeddings, codes = snapshot.embeddings(number)
        np.testing.assert_array_equal(embeddings, expected.embedding)
        np.testing.assert_array_equal(codes, expected.code)
    if truth:
        rows = np.concatenate([r.embedding for r in truth.values() if r.embedding is not None])
        ids = np.concatenate([r.id * VIEWS + np.arange(1 + len(r.captions)) for r in truth.values()])
        query = np.ones((1, DIM), dtype=np.float32)
        found = snapshot.flat.search(query, 5)
        order = np.lexsort((ids, -(rows @ query[0])))[:5]
        assert found.ids[0, : len(order)].tolist() == ids[order].tolist()
    # the store holds the same
    stored = stored_rows(folder)
    pictures = {row["id"]: row for row in stored if row["view"] == 0}
    assert set(pictures) == set(truth)
    assert {number: load(row["metadata"]) for number, row in pictures.items()} == {
        n: r.metadata for n, r in truth.items()
    }
    captions = sorted((row["id"], row["view"], row["text"]) for row in stored if row["view"])
    assert captions == sorted((r.id, v, t) for r in truth.values() for v, t in enumerate(r.captions, start=1))


@pytest.mark.parametrize("seed", range(3))
def test_random_commits(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    folder = tmp_path / "c"
    collection = Collection.create(folder, FakeModel(dim=DIM, bits=BITS))
    truth: dict[int, Record] = {}
    next_id = 0
    for _ in range(12):
        with writer(folder, collection.meta) as committing:
            for _ in range(random.integers(1, 4)):
                fresh = [record(next_id + n, random) for n in range(random.integers(0, 12))]
                next_id += len(fresh)
                living = np.array(sorted(truth))
                some = random.permutation(living)[: random.integers(0, 6)].tolist()
                updated = [record(number, random, f"new-{number}.png") for number in some[:3]]
                removed = some[3:]
                committing.commit([*fresh, *updated], removed)
                truth.update({r.id: r for r in (*fresh, *updated)})
                for number in removed:
                    del truth[number]
            if random.random() < 0.2:
                committing.compact()
        assert collection.verify().ok
    check(folder, truth)
    collection.compact()
    check(folder, truth)
    assert collection.verify().ok


def test_segments_stay_few(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    folder = tmp_path / "c"
    collection = Collection.create(folder, FakeModel(dim=DIM, bits=BITS))
    with writer(folder, collection.meta) as committing:
        for number in range(40):
            committing.commit([record(number, random)])
            assert len(committing.head.segments) <= 1 + np.log2(number + 1)
        assert [card.items for card in committing.head.segments] == [32, 8]
    assert len(list((folder / "segments").iterdir())) == 2


def test_tables_that_are_too_large_are_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, chance = tmp_path / "c", np.random.default_rng(3)
    collection = Collection.create(folder, FakeModel(dim=DIM, bits=BITS))
    with writer(folder, collection.meta) as committing:
        committing.commit([record(number, chance) for number in range(40)])
        size = committing.snapshot.segments[0].table_bytes
        monkeypatch.setattr("crossbit.search.writer.JOIN_BYTES", int(2.5 * size))
        for start in range(40, 240, 40):
            committing.commit([record(number, chance) for number in range(start, start + 40)])
        limit = int(2.5 * size)
        assert len(committing.snapshot.segments) >= 3
        assert all(segment.table_bytes <= limit for segment in committing.snapshot.segments)
        committing.compact()
        assert 3 <= len(committing.snapshot.segments) < 6
        assert all(segment.table_bytes <= limit for segment in committing.snapshot.segments)
        assert sorted(item.id for item in committing.snapshot.all_items()) == list(range(240))
        monkeypatch.undo()
        committing.compact()
        assert len(committing.snapshot.segments) == 1


def test_nothing_to_commit_costs_no_store(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    collection = Collection.create(folder, FakeModel())
    with writer(folder, collection.meta) as committing:
        committing.commit(quarantine={b"x": Broken(b"x", "why", 3, 4)})
        committing.compact()
    assert not (folder / "store").exists()
    assert [(b.key, b.reason, b.size, b.mtime_ns) for b in collection.quarantine()] == [(b"x", "why", 3, 4)]


def test_a_failed_commit_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    folder = tmp_path / "c"
    collection = Collection.create(folder, FakeModel(dim=DIM, bits=BITS))
    one, two = record(0, random), record(1, random)
    with writer(folder, collection.meta) as committing:
        committing.commit([one])
        with monkeypatch.context() as patch:
            # after the head was replaced, before the writer knows
            patch.setattr("crossbit.search.writer.Snapshot", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                committing.commit([two])
        assert committing.head.next_id == 2
        committing.commit([two])  # tried again: it replaces itself
    check(folder, {0: one, 1: two})
    with writer(folder, collection.meta) as committing:
        with monkeypatch.context() as patch:
            patch.setattr("crossbit.search.writer.write_head", lambda *_: 1 // 0)  # the store has it, the head does not
            with pytest.raises(ZeroDivisionError):
                committing.commit([record(2, random)], removed=[0])
        committing.commit(removed=[1])
    check(folder, {0: one})
    assert collection.verify().ok


def test_readers_open_while_commits_follow_each_other(tmp_path: Path) -> None:
    """Whoever opens sees one commit whole, however many are made meanwhile."""
    folder, chance = tmp_path / "c", np.random.default_rng(5)
    collection = Collection.create(folder, FakeModel(dim=DIM, bits=BITS))
    done, wrong, seen = threading.Event(), list[Exception](), set[int]()

    def read() -> None:
        while not done.is_set():
            try:
                snapshot = open_snapshot(folder, collection.meta)
                seen.add(len(snapshot))
                assert len(list(snapshot.all_items())) == len(snapshot)
                assert len(snapshot) % 4 == 0
            except Exception as error:
                wrong.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    with writer(folder, collection.meta) as committing:
        for start in range(0, 80, 4):
            committing.commit([record(number, chance) for number in range(start, start + 4)])
        committing.compact()
    done.set()
    thread.join(60)
    assert wrong == []
    assert len(seen) > 1
