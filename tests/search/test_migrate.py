"""A collection moves to another model: side by side until it is done, resumable, switched in one step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.errors import AbilityError, CollectionError, UsageError
from crossbit.search import Collection
from crossbit.search.ingest import Ingest
from search.fakes import FakeModel, paint


def state(collection: Collection) -> dict[int, tuple]:
    return {item.id: (item.path, item.sha256, item.captions, item.metadata) for item in collection}


def check_rows(collection: Collection, model: FakeModel) -> None:
    """Every row is what the model gives."""
    for item in collection:
        embeddings, codes = collection.snapshot.embeddings(item.id)
        assert embeddings is not None
        expected = model.encode("image", [item.path])
        np.testing.assert_allclose(embeddings[:1], expected.embedding, atol=1e-3)
        if model.bits:
            np.testing.assert_array_equal(codes[:1], expected.code)
        if item.captions:
            np.testing.assert_allclose(embeddings[1:], model.encode("text", item.captions).embedding, atol=1e-3)


@pytest.fixture
def old(pictures: Path, model: FakeModel, tmp_path: Path) -> Collection:
    (pictures / "a" / "green.txt").write_text("grass\na lawn\n")
    (pictures / "a" / "green.json").write_text('{"year": 2020}')
    (pictures / "bad.png").write_bytes(b"bad")
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync(progress=False)
    collection.add([paint(tmp_path / "outside.png", "red", mark=77)], captions=[["by hand"]])
    collection.delete(pictures / "b" / "c" / "red.png")
    collection.take_snapshot("old")
    return collection


@pytest.mark.parametrize("bits", [0, 128])
def test_moves_and_keeps_everything(old: Collection, pictures: Path, model: FakeModel, bits: int) -> None:
    before, reader = state(old), Collection.open(pictures, model)
    assert reader.search("red", k=1)[0].path.name == "outside.png"
    new = FakeModel("new", dim=24, bits=bits, seed=3)
    report = old.migrate(new, progress=False)
    assert (report.added, report.unchanged, report.removed, report.quarantined) == (8, 0, 0, 1)
    assert state(old) == before
    assert (old.meta.model, old.meta.dim, old.meta.bits) == ("new", 24, bits)
    check_rows(old, new)
    assert old.search("lawn", k=1)[0].why == "a lawn"
    assert old.verify().ok
    assert not (old.folder / "segments").exists()
    assert not (old.folder / "store").exists()
    opened = Collection.open(pictures, new)
    assert state(opened) == before
    assert len(reader) == 8  # an open reader sees the switch
    assert reader.meta.model == "new"
    # life goes on: nothing is encoded again, ids go on, what was added by hand stays
    new.calls.clear()
    report = opened.sync(progress=False)
    assert (report.added, report.unchanged, report.encoded) == (1, 7, 1)  # red is found again
    assert max(item.id for item in opened) > max(before)
    opened.compact()
    assert opened.verify().ok
    assert "by hand" in {hit.why for hit in opened.search("by hand", k=3)}
    # and back, into another place
    opened.migrate(model, progress=False)
    check_rows(opened, model)
    assert opened.verify().ok
    assert len(list((opened.folder / "models").iterdir())) == 1
    assert [hit.path.name for hit in opened.search("red", k=1, at="old")] == ["outside.png"]
    opened.restore("old")
    assert state(opened) == before


def test_searches_answer_from_the_old_until_the_switch(
    old: Collection, pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossbit.search.ingest.COMMIT_ITEMS", 2)
    new, seen = FakeModel("new", dim=24, seed=3), []
    take = Ingest.take

    def watching(self: Ingest, read: Any) -> None:
        take(self, read)
        reader = Collection.open(pictures, model)
        seen.append((reader.meta.model, len(reader), reader.search("red", k=1)[0].path.name))

    monkeypatch.setattr(Ingest, "take", watching)
    old.migrate(new, batch_size=2, progress=False)
    assert seen == [("fake", 8, "outside.png")] * 8
    assert old.meta.model == "new"


def test_goes_on_after_a_stop_and_takes_changes_over(
    old: Collection, pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossbit.search.ingest.COMMIT_ITEMS", 2)
    new = FakeModel("new", dim=24, seed=3)
    encode = new.encode

    def stop(view: str, media: Any, **settings: Any) -> Any:
        if new.count("image") >= 4:
            raise KeyboardInterrupt
        return encode(view, media, **settings)

    monkeypatch.setattr(new, "encode", stop)
    with pytest.raises(KeyboardInterrupt):
        old.migrate(new, batch_size=2, progress=False)
    monkeypatch.setattr(new, "encode", encode)
    assert old.meta.model == "fake"
    assert old.stats().migrating == "new"
    # meanwhile the collection lives on with the old model
    (pictures / "a" / "green.png").rename(pictures / "a" / "lawn.png")
    (pictures / "a" / "green.txt").rename(pictures / "a" / "lawn.txt")
    (pictures / "a" / "white.png").unlink()
    paint(pictures / "b" / "c" / "blue.png", "orange", mark=8)
    paint(pictures / "fresh.png", (9, 99, 9))
    old.sync(progress=False)
    old.compact()
    before = state(old)
    assert Collection.open(pictures, model).search("lawn", k=1)[0].path.name == "lawn.png"
    new.calls.clear()
    report = old.migrate(new, progress=False)
    assert report.unchanged >= 1
    assert new.count("image") < len(before)  # what was done is not done again
    assert state(old) == before
    check_rows(old, new)
    assert old.verify().ok


def test_another_model_in_the_middle_begins_anew(
    old: Collection, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = FakeModel("first", dim=24), FakeModel("second", dim=16, bits=0)
    monkeypatch.setattr(first, "encode", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        old.migrate(first, progress=False)
    assert old.snapshot.head.migrating
    old.migrate(second, progress=False)
    check_rows(old, second)
    assert old.verify().ok


def test_cancel(old: Collection, pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not old.cancel_migration()
    first = FakeModel("first", dim=24)
    monkeypatch.setattr(first, "encode", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        old.migrate(first, progress=False)
    assert old.cancel_migration()
    assert not any((old.folder / "models").iterdir())
    assert old.stats().migrating == ""
    assert old.search("red", k=1)
    assert old.verify().ok


def test_missing_pictures_keep_the_old_model(old: Collection, pictures: Path, model: FakeModel) -> None:
    before = state(old)
    (pictures / "a" / "white.png").unlink()
    (pictures / "a" / "yellow.png").write_bytes(b"broken")
    new = FakeModel("new", dim=24)
    with pytest.raises(
        CollectionError, match=r"(?s)2 pictures cannot be .* anew.*white.png: it is not there.*--drop-missing"
    ):
        old.migrate(new, progress=False)
    assert (old.meta.model, state(old)) == ("fake", before)
    assert old.search("white", k=1)[0].path.name == "white.png"
    report = old.migrate(new, progress=False, drop_missing=True)
    assert (report.removed, report.unchanged) == (2, 6)
    assert len(old) == 6
    assert {broken.path for broken in old.quarantine()} == {"bad.png", "a/white.png", "a/yellow.png"}
    assert old.sync(progress=False).quarantined == 2  # white is gone, which is no fault


def test_refusals(old: Collection, model: FakeModel) -> None:
    with pytest.raises(UsageError, match="made with model `fake` already"):
        old.migrate(model)
    with pytest.raises(AbilityError, match="scores pairs jointly"):
        old.migrate(FakeModel("scan", dim=0, bits=0))


def test_a_large_batch(many: Callable[[int], Path], model: FakeModel) -> None:
    folder = many(60)
    collection = Collection.create(folder / ".crossbit", model, root=folder, vectors="int8")
    collection.sync(progress=False)
    new = FakeModel("new", dim=24, seed=3)
    collection.migrate(new, progress=False)
    assert collection.meta.vectors == "int8"
    assert len(collection) == new.count("image") == 60
