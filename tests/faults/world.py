"""The small world that faults happen in: pictures, a collection of them, an operation, and what must be true afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbit.search import Collection, ingest
from search.fakes import FakeModel, paint

OLD, NEW = FakeModel("old", dim=16), FakeModel("new", dim=24, seed=3)
PICTURES = 14
HOME = "pictures/.crossbit"
"""Where the collection of a world lies: inside, so that both can be copied together."""

State = dict[int, tuple[str, str, tuple[str, ...]]]


def model_of(collection: Collection) -> FakeModel:
    return NEW if collection.meta.model == "new" else OLD


def opened(place: Path) -> Collection:
    """Open the collection with whichever model it was made with."""
    collection = Collection.open(place)
    return Collection.open(place, model_of(collection))


def state_of(collection: Collection) -> State:
    return {item.id: (item.path.name, item.sha256, item.captions) for item in collection}


def build(place: Path) -> None:
    """Make the world: two segments, captions, a quarantined file, a removed item, a snapshot."""
    pictures = place / "pictures"
    for number in range(PICTURES):
        file = paint(pictures / str(number % 3) / f"{number:02d}.png", _colour(number), size=(8, 6), mark=number)
        if number % 4 == 0:
            file.with_suffix(".txt").write_text(f"words {number}\nmore words {number}\n")
    (pictures / "bad.png").write_bytes(b"bad")
    collection = Collection.create(place / HOME, OLD, root=pictures)
    collection.sync(progress=False)
    collection.take_snapshot("early")
    paint(pictures / "later.png", "red", size=(8, 6), mark=900)
    (pictures / "1" / "01.png").unlink()
    collection.sync(progress=False)


def _colour(number: int) -> tuple[int, int, int]:
    return (number * 53 % 256, number * 101 % 256, number * 17 % 256)


@dataclass(frozen=True)
class Operation:
    """Something that changes a collection.

    Args:
        prepare: changes the world so that there is something to do.
        run: does it.
        steps: whether states between before and after are right: a long run commits often.
    """

    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    steps: bool = False


def _grow(place: Path) -> None:
    pictures = place / "pictures"
    for number in range(100, 112):
        file = paint(pictures / "grown" / f"{number}.png", _colour(number), size=(8, 6), mark=number)
        if number % 2:
            file.with_suffix(".txt").write_text(f"grown {number}\n")
    paint(pictures / "0" / "00.png", "blue", size=(8, 6), mark=901)
    (pictures / "2" / "02.png").rename(pictures / "2" / "moved.png")
    (pictures / "0" / "03.png").unlink()


def _sync(place: Path) -> None:
    ingest.COMMIT_ITEMS = 4  # many commits
    opened(place / HOME).sync(batch_size=4, progress=False)


def _delete(place: Path) -> None:
    opened(place / HOME).delete([place / "pictures" / "0" / "00.png", place / "pictures" / "1" / "04.png"])


def _migrate(place: Path) -> None:
    ingest.COMMIT_ITEMS = 4
    if Collection.open(place / HOME).meta.model != "new":
        Collection.open(place / HOME, OLD).migrate(NEW, batch_size=4, progress=False)
    else:
        Collection.open(
            place / HOME, NEW
        ).cancel_migration()  # tidies up behind a run that was stopped after the switch


def _hurt(place: Path) -> None:
    vectors = sorted((place / HOME / "segments").glob("*/vectors.npy"))[0]
    data = bytearray(vectors.read_bytes())
    data[-5] ^= 1
    vectors.write_bytes(data)  # also in the snapshot, which has the file by another name


OPERATIONS = {
    "add": Operation(_grow, _sync, steps=True),
    "delete": Operation(lambda _: None, _delete),
    "compact": Operation(lambda _: None, lambda place: opened(place / HOME).compact()),
    "migrate": Operation(lambda _: None, _migrate),
    "restore": Operation(lambda _: None, lambda place: (opened(place / HOME).restore("early"), None)[1]),
    "snapshot": Operation(lambda _: None, lambda place: _snapshot(place)),
    "repair": Operation(_hurt, lambda place: (Collection.mend(place / HOME, OLD, progress=False), None)[1]),
}


def _snapshot(place: Path) -> None:
    collection = opened(place / HOME)
    if not any(version.name == "taken" for version in collection.versions()):
        collection.take_snapshot("taken")


class Broken(AssertionError):  # noqa: N818 - what it says
    """Something that must be true is not."""


def must(true: bool, what: str) -> None:
    if not true:
        raise Broken(what)


def check_rows(collection: Collection) -> None:
    """Every item is whole: its rows are what the model gives for its picture and captions."""
    model, snapshot = model_of(collection), collection.snapshot
    for item in collection:
        embeddings, codes = snapshot.embeddings(item.id)
        must(embeddings is not None and codes is not None, f"item {item.id} has no rows")
        assert embeddings is not None
        assert codes is not None
        must(len(embeddings) == len(codes) == 1 + len(item.captions), f"item {item.id} has {len(embeddings)} rows")
        if item.captions:
            texts = model.encode("text", item.captions)
            must(np.allclose(embeddings[1:], texts.embedding, atol=1e-3), f"captions of item {item.id}")
            must(np.array_equal(codes[1:], texts.code), f"codes of the captions of item {item.id}")
        if item.path.exists() and _sha256(item.path) == item.sha256:
            rows = model.encode("image", [item.path])
            must(np.allclose(embeddings[:1], rows.embedding, atol=1e-3), f"the picture of item {item.id}")


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_between(collection: Collection, operation: Operation, before: State, after: State) -> None:
    """Nothing that was committed is lost, nothing half-written is seen."""
    now = state_of(collection)
    if operation.steps:
        for number, item in now.items():
            must(item in (before.get(number), after.get(number)), f"item {number} is {item}")
        for number in before.keys() & after.keys():
            must(number in now, f"item {number} is lost")
    else:
        must(now in (before, after), f"neither the state before nor the one after: {now}")
    must(len(collection) == len(now), "the count is not that of the items")
    must(len(collection.search("red", k=99)) == len(now), "a search does not give every item")


def leftovers(place: Path) -> list[str]:
    """Name files of the collection that no commit names: there must be none once a writer was there."""
    collection = opened(place / HOME)
    head, folder = collection.snapshot.head, collection.folder
    data = folder / head.place
    named = {folder / name for name in ("meta.json", "meta.copy.json", "head.json", "head.copy.json", "lock")}
    named |= {data / name for name in ("meta.json", "meta.copy.json", "lock", head.quarantine)}
    named |= {data / head.receipts.file, data / head.history.file}
    named |= {data / "segments" / card.name / name for card in head.segments for name in card.files}
    found = (path for path in folder.rglob("*") if path.is_file())
    apart = ("snapshots", "store")
    return sorted(str(path) for path in found if path not in named and not set(apart) & set(path.parts))


def finish(place: Path, operation: Operation, after: State) -> None:
    """Do the operation to its end: the outcome is that of a run that nothing happened to."""
    operation.run(place)
    collection = opened(place / HOME)
    must(state_of(collection) == after, f"after it was done again: {state_of(collection)}, expected {after}")
    report = collection.verify()
    must(report.ok, f"after it was done again: {report.damage}")
    must(not leftovers(place), f"left over: {leftovers(place)}")


def copy(source: Path, target: Path) -> None:
    """Copy a world, with files that have two names keeping both."""
    import os

    names: dict[int, Path] = {}
    for folder, _, files in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = Path(folder) / file
            inode = path.stat().st_ino
            if inode in names:
                os.link(names[inode], there / file)
            else:
                shutil.copy2(path, there / file)
                names[inode] = there / file
