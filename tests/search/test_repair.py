"""Every file of a collection is damaged in turn, and mended from what remains."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import CollectionError
from crossbit.search import Collection
from search.fakes import FakeModel, paint


def rows(collection: Collection) -> dict[int, tuple]:
    """Everything of every item, rows included."""
    found = {}
    for item in collection:
        embeddings, codes = collection.snapshot.embeddings(item.id)
        assert embeddings is not None
        assert codes is not None
        found[item.id] = (item, np.round(embeddings, 2).tolist(), codes.tolist())
    return found


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection with everything in it: segments, dead items, captions, quarantine, a snapshot; one that has moved."""
    base = tmp_path_factory.mktemp("grown")
    folder, model = base / "pictures", FakeModel()
    for number in range(12):
        paint(folder / f"{number % 3}" / f"{number:02d}.png", (number * 20, 99, 200 - number), size=(8, 6), mark=number)
    (folder / "1" / "01.txt").write_text("first words\nmore words")
    (folder / "bad.png").write_bytes(b"bad")
    collection = Collection.create(folder / ".crossbit", model, root=folder)
    collection.sync(progress=False)
    collection.take_snapshot("early")
    paint(folder / "new.png", "red", mark=99)
    (folder / "2" / "02.png").unlink()
    collection.sync(progress=False)
    return folder


def files_of(folder: Path) -> list[Path]:
    skipped = {"lock", "latest_version_hint.json"}
    return sorted(path for path in (folder / ".crossbit").rglob("*") if path.is_file() and path.name not in skipped)


def hurt(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    path.unlink()  # a snapshot has the file by another name
    if how == "flip":
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[:-1])


@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_each_file_is_mended(grown: Path, tmp_path: Path, how: str) -> None:
    model = FakeModel()
    truth, past = rows(Collection.open(grown, model)), list(Collection.open(grown, model).at("early").all_items())
    names = [path.relative_to(grown) for path in files_of(grown)]
    store = [name for name in names if "store" in name.parts]
    tried = [name for name in names if name not in store] + store[:: max(1, len(store) // 4)]
    assert len(tried) > 15
    for number, name in enumerate(tried):
        work = tmp_path / f"{number}"
        shutil.copytree(grown, work)
        hurt(work / name, how)
        report = Collection.mend(work, model, progress=False)
        assert [Path(damage.file) for damage in report.damage] == [work / name]
        assert report.mended, name
        assert report.given_up == []
        assert report.encoded == 0
        mended = Collection.open(work, model)
        assert {k: (i.sha256, i.captions, i.metadata, e, c) for k, (i, e, c) in rows(mended).items()} == {
            k: (i.sha256, i.captions, i.metadata, e, c) for k, (i, e, c) in truth.items()
        }, name
        assert [item.sha256 for item in mended.at("early").all_items()] == [item.sha256 for item in past]
        paint(work / "later.png", "blue", mark=5)
        report_of_sync = mended.sync(progress=False)
        assert (report_of_sync.added, report_of_sync.unchanged) == (1, 12), name
        assert mended.verify().ok
        shutil.rmtree(work)


def test_nothing_to_mend(grown: Path) -> None:
    before = {path: path.read_bytes() for path in files_of(grown)}
    report = Collection.open(grown, FakeModel()).repair(progress=False)
    assert report.to_dict() == {"damage": [], "mended": [], "given_up": [], "encoded": 0}
    assert {path: path.read_bytes() for path in files_of(grown)} == before


def damage_store(place: Path) -> None:
    data = next((place / "store").rglob("*.lance/data/*.lance"))
    data.write_bytes(data.read_bytes()[:-9])


def test_rows_and_store_damaged_then_pictures_are_encoded_again(grown: Path, tmp_path: Path) -> None:
    work, model = tmp_path / "work", FakeModel()
    shutil.copytree(grown, work)
    truth = rows(Collection.open(work, model))
    place = work / ".crossbit"
    damage_store(place)
    largest = max((place / "segments").glob("*/vectors.npy"), key=lambda path: path.stat().st_size)
    hurt(largest, "flip")
    report = Collection.open(work, model).repair(progress=False)
    assert report.encoded >= 10
    assert rows(Collection.open(work, model)) == truth
    assert Collection.open(work, model).sync(progress=False).unchanged == 12


def test_what_has_no_other_copy_is_refused_and_given_up_when_asked(grown: Path, tmp_path: Path) -> None:
    work, model = tmp_path / "work", FakeModel()
    shutil.copytree(grown, work)
    place = work / ".crossbit"
    damage_store(place)
    largest = max((place / "segments").glob("*/items.arrow"), key=lambda path: path.stat().st_size)
    hurt(largest, "flip")
    before = {path: path.read_bytes() for path in files_of(work)}
    with pytest.raises(
        CollectionError, match=rf"(?s)no other copy of\nsegments/{largest.parent.name}: 1\d items.*--give"
    ):
        Collection.mend(work, model, progress=False)
    assert {path: path.read_bytes() for path in files_of(work) if "models" not in path.parts} == before
    report = Collection.mend(work, model, progress=False, give_up=True)
    assert report.given_up == [f"segments/{largest.parent.name}: 11 items"]
    collection = Collection.open(work, model)
    assert collection.verify().ok
    assert collection.sync(progress=False).added == 11
    assert len(collection) == 12


def test_both_heads_damaged_is_refused(grown: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(grown, work)
    for name in ("head.json", "head.copy.json"):
        hurt(work / ".crossbit" / name, "flip")
    with pytest.raises(CollectionError, match=r"(?s)head.json: damaged, and so is its copy.*--rebuild"):
        Collection.mend(work, FakeModel(), progress=False)


def test_after_a_move_to_another_model(grown: Path, tmp_path: Path) -> None:
    old, new = FakeModel(), FakeModel("new", dim=24, seed=2)
    moved = tmp_path / "moved"
    shutil.copytree(grown, moved)
    Collection.open(moved, old).migrate(new, progress=False)
    truth = rows(Collection.open(moved, new))
    for number, path in enumerate(files_of(moved)):
        name = path.relative_to(moved)
        if "store" in name.parts or "snapshots" in name.parts:
            continue
        work = tmp_path / f"{number}"
        shutil.copytree(moved, work)
        hurt(work / name, "flip")
        report = Collection.mend(work, new, progress=False)
        assert [Path(damage.file) for damage in report.damage] == [work / name]
        assert {k: (i.sha256, e, c) for k, (i, e, c) in rows(Collection.open(work, new)).items()} == {
            k: (i.sha256, e, c) for k, (i, e, c) in truth.items()
        }
        shutil.rmtree(work)


def test_a_snapshot_without_its_version_is_given_up(grown: Path, tmp_path: Path) -> None:
    work, model = tmp_path / "work", FakeModel()
    shutil.copytree(grown, work)
    collection = Collection.open(work, model)
    collection.compact()
    hurt(next((work / ".crossbit" / "snapshots").rglob("vectors.npy")), "cut")
    with pytest.raises(CollectionError, match=r"(?s)the snapshot is damaged.*--give-up"):
        collection.repair(progress=False)
    assert collection.repair(progress=False, give_up=True).given_up == ["snapshot early"]
    assert collection.verify().ok
    assert len(collection) == 12


def test_damage_while_moving_costs_the_move_only(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: Callable[[int], Path]
) -> None:
    work, model, new = tmp_path / "work", FakeModel(), FakeModel("new", dim=24)
    shutil.copytree(grown, work)
    collection = Collection.open(work, model)
    monkeypatch.setattr(new, "encode", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        collection.migrate(new, progress=False)
    monkeypatch.undo()
    hurt(work / ".crossbit" / collection.snapshot.head.migrating / "head.json", "flip")
    assert not collection.verify().ok
    report = collection.repair(progress=False)
    assert "unfinished move" in report.given_up[0]
    assert collection.snapshot.head.migrating == ""
    collection.migrate(new, progress=False)
    assert collection.verify().ok
