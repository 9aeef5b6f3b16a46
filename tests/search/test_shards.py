"""A folder encoded in parts: the same outcome as in one, by any number of processes, in any order, with stops."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import CollectionError, FingerprintError, UsageError
from crossbit.search import Collection
from crossbit.search.shards import LISTING, Shard, listing_of
from search.fakes import FakeModel, paint


def everything(collection: Collection) -> dict[int, tuple]:
    found = {}
    for item in collection:
        embeddings, codes = collection.snapshot.embeddings(item.id)
        assert embeddings is not None
        assert codes is not None
        found[item.id] = (item, embeddings.tolist(), codes.tolist())
    return found


PROGRAM = (
    "import sys\nfrom search.fakes import FakeModel\nfrom crossbit.search import Collection\n"
    "Collection.embed_shard(*sys.argv[1:4], FakeModel(), progress=False)\n"
)


@pytest.fixture
def folder(many: Callable[[int], Path]) -> Path:
    """Thirty pictures with captions and a table, in several folders."""
    place = many(30)
    (place / "1" / "00008.txt").write_text("first words\nmore words")
    (place / "metadata.csv").write_text("file,year\n3/00003.png,2020\n4/00004.png,2021\n")
    return place


@pytest.fixture
def alone(folder: Path, tmp_path: Path) -> dict[int, tuple]:
    collection = Collection.create(tmp_path / "alone", FakeModel(), root=folder)
    collection.sync(progress=False)
    return everything(collection)


def test_three_processes_against_one(folder: Path, tmp_path: Path, alone: dict[int, tuple]) -> None:
    out, path = tmp_path / "out", os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    shards = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, out, f"{number}/3"], env={**os.environ, "PYTHONPATH": path}
        )
        for number in (1, 2, 3)
    ]
    assert [process.wait(120) for process in shards] == [0, 0, 0]
    model = FakeModel()
    merged = Collection.from_shards(out, tmp_path / "c", folder, model)
    assert everything(merged) == alone
    assert merged.verify().ok
    # nothing was copied
    files = [path for path in (tmp_path / "c" / "segments").rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_nlink == 2 for path in files)
    assert not (tmp_path / "c" / "store").exists()
    # life goes on: nothing to do, then changes; the store comes with the first of them
    report = merged.sync(progress=False)
    assert (report.unchanged, report.added, report.changed, model.count("image")) == (30, 0, 0, 0)
    paint(folder / "late.png", "blue", mark=77)
    (folder / "1" / "00001.png").unlink()
    report = merged.sync(progress=False)
    assert (report.added, report.removed) == (1, 1)
    assert [hit.why for hit in merged.search("first words", k=1)] == ["first words"]
    with pytest.raises(CollectionError, match=r"(?s)version '1' was not in the store.*there are 2;"):
        merged.at(1)
    assert [version.commit for version in merged.versions()] == [2]
    merged.compact()
    assert merged.verify().ok
    assert max(item.id for item in merged) == 30


def test_again_and_after_a_stop(folder: Path, tmp_path: Path, alone: dict[int, tuple]) -> None:
    out, model = tmp_path / "out", FakeModel()
    for shard in ("2/2", "1/2"):
        Collection.embed_shard(folder, out, shard, model, progress=False)
    encoded = model.count("image")
    _, report = Collection.embed_shard(folder, out, "1/2", model, progress=False)
    assert (report.unchanged, model.count("image")) == (15, encoded)
    # a part that was lost is made again, the same
    shutil.rmtree(out / Shard(2, 2).name)
    with pytest.raises(CollectionError, match="shards 2/2 are not done"):
        Collection.from_shards(out, tmp_path / "c", folder, model)
    Collection.embed_shard(folder, out, "2/2", model, progress=False)
    assert everything(Collection.from_shards(out, tmp_path / "c", folder, model)) == alone


def test_stopped_in_the_middle(
    folder: Path, tmp_path: Path, alone: dict[int, tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, model = tmp_path / "out", FakeModel()
    encode = model.encode

    def stop(view: str, media: list, **settings: object) -> object:
        if model.count("image") >= 8:
            raise KeyboardInterrupt
        return encode(view, media, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "encode", stop)
    with pytest.raises(KeyboardInterrupt):
        Collection.embed_shard(folder, out, "1/2", model, batch_size=4, progress=False)
    monkeypatch.undo()
    Collection.embed_shard(folder, out, "2/2", model, progress=False)
    with pytest.raises(CollectionError, match="shards 1/2 are not done"):
        Collection.from_shards(out, tmp_path / "c", folder, model)
    _, report = Collection.embed_shard(folder, out, "1/2", model, progress=False)
    assert report.unchanged == 8
    assert everything(Collection.from_shards(out, tmp_path / "c", folder, model)) == alone


def test_the_folder_changes_meanwhile(folder: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", FakeModel()
    Collection.embed_shard(folder, out, "1/2", model, progress=False)
    paint(folder / "0" / "00000a.png", "red", mark=500)  # not in the listing: left to `sync`
    (folder / "3" / "00003.png").unlink()
    (folder / "5" / "00005.png").write_bytes(b"broken")
    Collection.embed_shard(folder, out, "2/2", model, progress=False)
    _, report = Collection.embed_shard(folder, out, "1/2", model, progress=False)
    merged = Collection.from_shards(out, tmp_path / "c", folder, model)
    assert len(merged) == 28
    # the table names a picture that is gone, as `sync` says, too
    assert [broken.path for broken in merged.quarantine()] == ["5/00005.png", "metadata.csv"]
    report = merged.sync(progress=False)
    assert (report.added, report.unchanged, report.quarantined) == (1, 28, 2)
    assert len({item.id for item in merged}) == 29


def test_refusals(folder: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", FakeModel()
    for text in ("0/2", "3/2", "x", "1", "1/0", "1/99999"):
        with pytest.raises(UsageError, match="shard"):
            Collection.embed_shard(folder, out, text, model)
    with pytest.raises(CollectionError, match="no shards in it"):
        Collection.from_shards(out, tmp_path / "c", folder)
    Collection.embed_shard(folder, out, "1/2", model, progress=False)
    with pytest.raises(FingerprintError):
        Collection.embed_shard(folder, out, "1/2", FakeModel("other"), progress=False)
    Collection.embed_shard(folder, out, "2/2", FakeModel("other"), progress=False)
    with pytest.raises(CollectionError, match="made with model `other`"):
        Collection.from_shards(out, tmp_path / "c", folder)
    shutil.rmtree(out / Shard(2, 2).name)
    Collection.embed_shard(folder, out, "2/2", model, progress=False)
    vectors = next((out / Shard(2, 2).name).rglob("vectors.npy"))
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    with pytest.raises(CollectionError, match=r"vectors.npy: SHA-256"):
        Collection.from_shards(out, tmp_path / "c", folder)
    data[-1] ^= 1
    vectors.write_bytes(data)
    Collection.embed_shard(folder, out, "1/3", model, progress=False)
    with pytest.raises(CollectionError, match="shards of different divisions"):
        Collection.from_shards(out, tmp_path / "c", folder)
    shutil.rmtree(out / Shard(1, 3).name)
    # another machine listed another folder
    (out / LISTING).unlink()
    paint(folder / "more.png", "red", mark=900)
    Collection.embed_shard(folder, out, "2/2", model, progress=False)
    with pytest.raises(CollectionError, match="different listings"):
        Collection.from_shards(out, tmp_path / "c", folder)
    (out / LISTING).write_text("{}")
    with pytest.raises(CollectionError, match="damaged"):
        listing_of(out, folder)


def test_the_first_listing_wins(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = listing_of(out, folder)
    paint(folder / "new.png", "red", mark=901)
    assert listing_of(out, folder) == first
    assert len(first.keys) == 30
    assert os.listdir(out) == [LISTING]


def test_many_shards_of_few_pictures(pictures: Path, tmp_path: Path) -> None:
    """More shards than pictures: some are empty."""
    model = FakeModel()
    for number in range(1, 12):
        Collection.embed_shard(pictures, tmp_path / "out", Shard(number, 11), model, vectors="int8", progress=False)
    merged = Collection.from_shards(tmp_path / "out", pictures / ".crossbit", pictures, model)
    assert len(merged) == 8
    assert merged.meta.vectors == "int8"
    np.testing.assert_array_equal(np.sort([item.id for item in merged]), np.arange(8))
    assert merged.search("red", k=1)[0].path.name == "red.png"
    moved = tmp_path / "moved"
    shutil.move(pictures, moved)
    assert Collection.open(moved, model).search("red", k=1)[0].path.exists()
