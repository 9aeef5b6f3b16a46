"""Commits of the past: kept by name, or made again from the store; opened, searched, brought back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from crossbit.errors import CollectionError, UsageError
from crossbit.search import Collection
from crossbit.search.durable import writing
from search.fakes import FakeModel, paint


def state(items: object) -> dict[int, tuple]:
    return {item.id: (item.path, item.sha256, item.captions, item.metadata) for item in items}  # type: ignore[attr-defined]


@pytest.fixture(params=["float16", "int8"])
def lived(pictures: Path, model: FakeModel, request: pytest.FixtureRequest) -> tuple[Collection, dict[int, dict]]:
    """A collection with a past, and what it held after each commit."""
    (pictures / "a" / "green.txt").write_text("grass\na lawn\n")
    (pictures / "a" / "green.json").write_text('{"year": 2020, "taken": "2020-05-01"}')
    collection = Collection.create(pictures / ".crossbit", model, root=pictures, vectors=request.param)
    held = {}
    collection.sync(progress=False)
    held[collection.snapshot.head.commit] = state(collection)
    (pictures / "a" / "green.txt").write_text("moss\n")
    (pictures / "a" / "white.png").unlink()
    paint(pictures / "new.png", (100, 100, 100))
    collection.sync(progress=False)
    held[collection.snapshot.head.commit] = state(collection)
    collection.delete(pictures / "b" / "c" / "red.png")
    held[collection.snapshot.head.commit] = state(collection)
    return collection, held


def test_every_commit_can_be_looked_at(lived: tuple[Collection, dict[int, dict]]) -> None:
    collection, held = lived
    assert len(held) == 3
    listed = {version.commit: version.items for version in collection.versions()}
    for commit, truth in held.items():
        past = collection.at(commit)
        assert state(past.all_items()) == truth
        assert listed[commit] == len(truth) == len(past)
        assert past.rows == sum(1 + len(captions) for _, _, captions, _ in truth.values())
    first, _, last = held
    assert [hit.path.stem for hit in collection.search("white", k=1, at=first)] == ["white"]
    assert collection.search("grass", k=1, at=str(first))[0].why == "grass"
    assert "red" not in [hit.path.stem for hit in collection.search("red", k=9)]
    # the rows of the past are those that were written then, up to the store's float16
    for number in held[last]:
        for now, then in zip(
            collection.snapshot.embeddings(number), collection.at(last).embeddings(number), strict=True
        ):
            assert now is not None
            assert abs(now - then).max() < 0.01
    with pytest.raises(CollectionError, match=r"(?s)no version '999'.*there are 1, "):
        collection.at(999)
    assert state(collection.at("2999-01-01").all_items()) == held[last]
    with pytest.raises(CollectionError, match="no version '1999-01-01'"):
        collection.at("1999-01-01")


def test_the_folder_of_the_past_goes_with_it(lived: tuple[Collection, dict[int, dict]]) -> None:
    collection, held = lived
    past = collection.at(min(held))
    folder = past.data
    assert (folder / "segments").is_dir()
    assert not folder.is_relative_to(collection.folder)
    collection.close()
    del past
    assert not folder.exists()


def test_snapshots_outlive_compact(lived: tuple[Collection, dict[int, dict]], pictures: Path, model: FakeModel) -> None:
    collection, held = lived
    last = max(held)
    collection.take_snapshot("before")
    paint(pictures / "newer.png", (10, 100, 100))
    collection.sync(progress=False)
    collection.delete([item.path for item in collection if item.path.stem == "blue"])
    collection.compact()
    other = Collection.open(pictures, model)
    assert state(other.at("before").all_items()) == held[last]
    assert "blue" in [hit.path.stem for hit in other.search("blue", k=9, at="before")]
    assert "blue" not in [hit.path.stem for hit in other.search("blue", k=99)]
    names = [(version.commit, version.name) for version in other.versions()]
    assert names[0] == (last, "before")
    with pytest.raises(CollectionError, match=r"(?s)no version '1'.*there are before, .*only those with a name"):
        other.at(1)
    assert collection.verify().ok
    with pytest.raises(UsageError, match="already"):
        collection.take_snapshot("before")
    for name in ("", "12", "../up", "a b", ".x", "x.partial"):
        with pytest.raises(UsageError, match="expected letters"):
            collection.take_snapshot(name)
    assert collection.restore("before") == (1, 2)  # blue came back; newer went, and red that `sync` had found again
    assert state(collection) == held[last]
    collection.drop_snapshot("before")
    assert [version.name for version in collection.versions() if version.name] == []
    with pytest.raises(CollectionError, match="no snapshot 'before'"):
        collection.drop_snapshot("before")
    assert collection.verify().ok


def test_a_snapshot_takes_no_room(lived: tuple[Collection, dict[int, dict]]) -> None:
    collection, _ = lived
    collection.take_snapshot("one")
    place = collection.folder / "snapshots" / "one" / "segments"
    files = [path for path in place.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_nlink == 2 for path in files)


def test_restore_by_number_and_again(lived: tuple[Collection, dict[int, dict]], pictures: Path) -> None:
    collection, held = lived
    first, second, last = held
    assert collection.restore(first) == (3, 1)  # green as it was, white and red back; new gone
    assert state(collection) == held[first]
    assert collection.search("grass", k=1)[0].why == "grass"
    assert collection.restore(last) == (2, 2)
    assert state(collection) == held[last]
    assert collection.restore(second) == (1, 0)
    assert collection.restore(second) == (0, 0)
    assert collection.verify().ok
    # ids go on where they were: none is given twice
    paint(pictures / "fresh.png", (1, 2, 3))
    collection.sync(progress=False)
    assert max(item.id for item in collection) > max(number for truth in held.values() for number in truth)


def test_a_second_writer_waits(pictures: Path, model: FakeModel, caplog: pytest.LogCaptureFixture) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync(progress=False)
    patient = Collection.open(pictures, model, wait=30)
    holding, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with writing(collection.folder):
            holding.set()
            let_go.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(30)
    threading.Timer(0.3, let_go.set).start()
    assert patient.delete(0) == 1
    thread.join()
    assert f"waiting up to 30 s: process {os.getpid()} is writing to this collection since 20" in caplog.text
    with writing(collection.folder), pytest.raises(CollectionError, match="one writer at a time after 0.2 s"):
        Collection.open(pictures, model, wait=0.2).delete(1)


def test_a_waiting_process_comes_after_a_killed_one(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(
        pictures / ".crossbit",
        model,
        root=pictures,
    )
    collection.sync(progress=False)
    program = (
        "import sys, pathlib, time\nfrom crossbit.search.durable import writing\n"
        "with writing(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, collection.folder], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        threading.Timer(0.3, other.kill).start()
        began = time.monotonic()
        assert Collection.open(pictures, model, wait=60).delete(0) == 1
        assert time.monotonic() - began < 59
