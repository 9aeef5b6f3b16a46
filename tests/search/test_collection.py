"""The collection as a user meets it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import AbilityError, CollectionError, FingerprintError, MediaError, NothingFound, UsageError
from crossbit.search import Collection
from search.fakes import COLOURS, FakeModel, paint


def names(hits: list) -> list[str]:
    return [hit.path.stem for hit in hits]


def test_index_and_search(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    report = collection.sync()
    assert (report.added, report.encoded, report.quarantined) == (8, 8, 0)
    assert len(collection) == 8
    hits = collection.search("red", k=3)
    assert hits[0].path == pictures / "b" / "c" / "red.png"
    assert hits[0].why == "picture"
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert hits[0].score > 0.9 > hits[1].score
    assert names(collection.search(image=pictures / "a" / "green.png", k=1)) == ["green"]
    assert names(collection.search(image=np.full((4, 4, 3), 250, dtype=np.uint8), k=1)) == ["white"]
    row = model.encode("text", ["blue"]).embedding[0]
    assert names(collection.search(embedding=row, k=1)) == ["blue"]
    assert sorted(item.path.stem for item in collection) == sorted(COLOURS)
    assert collection[hits[0].id].path == hits[0].path
    with pytest.raises(KeyError):
        collection[999]


def test_second_sync_does_nothing(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    commit = collection.snapshot.head.commit
    model.calls.clear()
    report = collection.sync(pictures)
    assert report.to_dict() | {"seconds": 0} == {
        "added": 0, "changed": 0, "renamed": 0, "removed": 0, "unchanged": 8, "quarantined": 0, "encoded": 0,
        "token_bytes": 0,
        "seconds": 0, "broken": [],
    }  # fmt: skip
    assert not model.calls
    assert collection.snapshot.head.commit == commit


def test_changes_are_found(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    ids = {item.path.stem: item.id for item in collection}
    model.calls.clear()
    paint(pictures / "a" / "green.png", "red", mark=5, size=(30, 30))  # changed
    (pictures / "b" / "c" / "blue.png").rename(pictures / "sky.png")  # renamed
    (pictures / "a" / "white.png").unlink()  # gone
    paint(pictures / "new.png", (100, 100, 100))  # new
    shutil.copy(pictures / "a" / "yellow.png", pictures / "twin.png")  # a duplicate
    os.utime(pictures / "b" / "c" / "black.png")  # touched, not changed
    report = collection.sync()
    counts = (report.added, report.changed, report.renamed, report.removed, report.unchanged)
    assert counts == (2, 1, 1, 1, 5)
    assert report.encoded == model.count("image") == 2  # the changed and the new one
    now = {item.path.stem: item.id for item in collection}
    assert now["green"] == ids["green"]
    assert now["sky"] == ids["blue"]
    assert set(now) == {"red", "green", "sky", "yellow", "black", "orange", "purple", "new", "twin"}
    assert len(set(now.values())) == 9
    assert names(collection.search("blue", k=1)) == ["sky"]
    assert sorted(names(collection.search("red", k=2))) == ["green", "red"]
    twins = collection.search("yellow", k=2)
    assert names(twins) == ["yellow", "twin"]  # equal scores by ascending id
    assert twins[0].score == twins[1].score
    assert collection.sync().unchanged == 9


def test_two_files_change_places(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    ids = {item.path.stem: item.id for item in collection}
    model.calls.clear()
    red, blue = pictures / "b" / "c" / "red.png", pictures / "b" / "c" / "blue.png"
    red.rename(pictures / "x")
    blue.rename(red)
    (pictures / "x").rename(blue)
    os.utime(red)
    os.utime(blue)
    report = collection.sync()
    assert report.changed == 2
    assert names(collection.search("red", k=1)) == ["blue"]
    assert names(collection.search("blue", k=1)) == ["red"]
    assert {item.path.stem: item.id for item in collection} == ids
    shutil.copy(red, pictures / "again.png")  # what red.png holds now
    collection.sync()
    assert names(collection.search("blue", k=2)) == ["red", "again"]
    assert collection.verify().ok


def test_a_content_that_moved_on_is_decoded_again(pictures: Path, model: FakeModel) -> None:
    """`a.png` held a content that it no longer holds when its copy is met in the same run, after a commit."""
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    old = (pictures / "a" / "green.png").read_bytes()
    paint(pictures / "a" / "green.png", "purple", mark=9)
    (pictures / "z.png").write_bytes(old)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossbit.search.ingest.COMMIT_SECONDS", -1.0)  # commit after every picture
        report = collection.sync()
    assert (report.added, report.changed) == (1, 1)
    assert names(collection.search("green", k=1)) == ["z"]


def test_captions_and_metadata(pictures: Path, model: FakeModel) -> None:
    (pictures / "a" / "green.txt").write_text("a meadow in spring\n\n  grass \n")
    (pictures / "a" / "white.json").write_text(
        json.dumps({"title": "snow field", "year": 2021, "taken": "2021-01-05", "tags": ["cold"], "stars": 4.5})
    )
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    assert collection.stats().captions == 3
    hit = collection.search("meadow", k=1)[0]
    assert (hit.path.stem, hit.why) == ("green", "a meadow in spring")
    assert hit.captions == ("a meadow in spring", "grass")
    snow = collection.search("snow field", k=1)[0]
    assert snow.score == pytest.approx(1, abs=1e-3)
    assert snow.metadata == {
        "width": 24, "height": 18, "year": 2021, "taken": date(2021, 1, 5), "tags": ["cold"], "stars": 4.5
    }  # fmt: skip
    assert snow.to_dict()["metadata"]["taken"] == "2021-01-05"
    json.dumps(snow.to_dict())
    # new texts do not encode the picture again, nor captions that were there
    model.calls.clear()
    model.seen.clear()
    (pictures / "a" / "green.txt").write_text("grass\nfrogs\n")
    report = collection.sync()
    assert (report.changed, report.encoded, report.unchanged) == (1, 0, 7)
    assert model.seen == ["frogs"]
    assert collection.search("frogs", k=1)[0].why == "frogs"
    assert collection.search("meadow", k=1)[0].score < 0.6
    (pictures / "a" / "green.txt").unlink()
    assert collection.sync().changed == 1
    assert collection.stats().captions == 1
    os.utime(pictures / "a" / "white.json")
    assert collection.sync().unchanged == 8  # rewritten with the same words


def test_a_renamed_file_takes_its_captions_along(pictures: Path, model: FakeModel) -> None:
    (pictures / "a" / "green.txt").write_text("a meadow")
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    model.calls.clear()
    for suffix in ("png", "txt"):
        (pictures / "a" / f"green.{suffix}").rename(pictures / f"frog.{suffix}")
    assert collection.sync().renamed == 1
    assert not model.calls
    hit = collection.search("meadow", k=1)[0]
    assert (hit.path.name, hit.why) == ("frog.png", "a meadow")


def test_tables(pictures: Path, model: FakeModel) -> None:
    (pictures / "captions.csv").write_text(
        "filename,caption,year,author,day\n"
        "a/green.png,meadow one,2019,Ann,2019-05-01\n"
        "a/green.png,meadow two,2019,Ann,2019-05-01\n"
        "b/c/blue.png,sea,2022,Bo,2022-01-31\n"
        "a/nothing.png,ghost,2000,Cy,2000-01-01\n"
    )
    (pictures / "b" / "metadata.jsonl").write_text(
        '{"file_name": "c/red.png", "text": "fire", "year": 2023}\n{"file_name": \n{"x": 1}\n'
    )
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    report = collection.sync()
    assert report.added == 8
    reasons = [broken.reason for broken in collection.quarantine()]
    assert reasons[0].startswith("b/metadata.jsonl:2: not JSON")
    assert reasons[0].endswith("(and 1 more)")
    assert reasons[1] == "captions.csv:5: names 'a/nothing.png', no such picture below the folder"
    assert collection.search("meadow two", k=1)[0].captions == ("meadow one", "meadow two")
    assert names(collection.search("red", where="year > 2020")) == ["red", "blue"]
    either = names(collection.search("red", where="author = 'Ann' or day = '2022-01-31'"))
    assert sorted(either) == ["blue", "green"]
    # a table that changed
    model.calls.clear()
    (pictures / "captions.csv").write_text("filename,caption,year\na/green.png,meadow one,2018\n")
    report = collection.sync()
    assert (report.changed, report.encoded) == (2, 0)
    assert not model.calls  # "meadow one" was known
    assert names(collection.search("green", where="year < 2019")) == ["green"]


def test_built_in_fields(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    os.utime(pictures / "a" / "white.png", (0, datetime(2001, 9, 9).timestamp()))
    collection.sync()
    assert set(names(collection.search("red", where="folder = 'a'"))) == {p.stem for p in (pictures / "a").iterdir()}
    assert set(names(collection.search("red", where="path like 'b/c/%'"))) == {
        p.stem for p in (pictures / "b/c").iterdir()
    }
    assert names(collection.search("red", where="name = 'white.png'")) == ["white"]
    assert names(collection.search("red", where="modified < '2002-01-01'")) == ["white"]
    assert len(collection.search("red", where="bytes > 10 and width = 24 and captions = 0")) == 8
    first = min(item.id for item in collection)
    assert [hit.id for hit in collection.search("red", where=f"id = {first}")] == [first]
    assert collection.search("red", where="bytes < 0") == []
    with pytest.raises(UsageError, match="did you mean `folder`"):
        collection.search("red", where="folders = 'a'")


def test_filter_comes_before_ranking(many: Callable[[int], Path], model: FakeModel) -> None:
    folder = many(64)
    collection = Collection.create(folder / ".crossbit", model, root=folder)
    collection.sync(progress=False)
    hits = collection.search("red", k=9, where="folder = '3'")
    assert len(hits) == 9
    assert all(hit.path.parent.name == "3" for hit in hits)
    assert len(collection.search("red", k=1000, where="folder = '3'")) == len(list((folder / "3").iterdir()))


@pytest.mark.parametrize("vectors", ["float16", "int8"])
@pytest.mark.parametrize(("dim", "bits"), [(40, 64), (40, 0), (0, 64), (40, 12)])
def test_agrees_with_brute_force(tmp_path: Path, dim: int, bits: int, vectors: str) -> None:
    model = FakeModel(dim=dim, bits=bits)
    random = np.random.default_rng(1)
    words = [*COLOURS, "cat", "dog", "sea", "sun", "tree"]
    folder = tmp_path / "pictures"
    for number in range(60):
        paint(folder / f"{number}.png", tuple(random.integers(0, 255, 3).tolist()), mark=number)
        captions = [" ".join(random.choice(words, 3)) for _ in range(number % 4)]
        (folder / f"{number}.txt").write_text("\n".join(captions))
    collection = Collection.create(tmp_path / "c", model, root=folder, vectors=vectors)
    collection.sync(progress=False)

    def truth(text: str) -> list[tuple[float, int]]:
        scores = []
        query = model.encode("text", [text])
        for item in collection:
            rows = [model.encode("image", [item.path]), *(model.encode("text", [c]) for c in item.captions)]
            if dim:
                scores.append((max(float(row.embedding[0] @ query.embedding[0]) for row in rows), item.id))
            else:
                far = [int(np.unpackbits(row.code ^ query.code).sum()) for row in rows]
                scores.append((1 - 2 * min(far) / bits, item.id))
        return sorted(scores, key=lambda pair: (-pair[0], pair[1]))

    close = 2e-3 if vectors == "float16" else 2e-2
    for text in ("red cat", "a blue sea", "tree"):
        expected = truth(text)
        for k in (1, 10, 100):
            hits = collection.search(text, k=k)
            assert len(hits) == min(k, 60)
            np.testing.assert_allclose([h.score for h in hits], [s for s, _ in expected[:k]], atol=close)
            if not dim:  # equal distances stand by ascending id
                assert [hit.id for hit in hits] == [number for _, number in expected[:k]]
            told = dict((number, score) for score, number in expected)
            for hit in hits:
                assert hit.score == pytest.approx(told[hit.id], abs=close)


def test_two_stages(many: Callable[[int], Path], model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = many(120)
    collection = Collection.create(folder / ".crossbit", model, root=folder)
    collection.sync(progress=False)
    exact = collection.search("orange", k=15)
    generous = collection.search("orange", k=15, candidates=120)
    assert [(h.id, h.score) for h in generous] == [(h.id, pytest.approx(h.score)) for h in exact]
    few = collection.search("orange", k=15, candidates=20)
    assert len(few) == 15
    scores = {h.id: h.score for h in collection.search("orange", k=120)}
    assert all(hit.score == pytest.approx(scores[hit.id]) for hit in few)  # rescored, not the codes' scores
    monkeypatch.setattr("crossbit.search.query.TWO_STAGES_ABOVE", 10)
    assert [h.id for h in collection.search("orange", k=15)] == [h.id for h in exact]  # 300 candidates of 120
    assert len(collection.search("orange", k=500)) == 120
    filtered = collection.search("orange", k=5, where="folder = '1'", candidates=5)
    assert len(filtered) == 5
    with pytest.raises(UsageError, match="need a code"):
        collection.search(embedding=np.ones(40), candidates=5)
    for dim, bits, says in ((40, 0, "no codes"), (0, 64, "only codes")):
        other = Collection.create(folder.parent / f"c{dim}", FakeModel(dim=dim, bits=bits))
        with pytest.raises(UsageError, match=says):
            other.search("orange", candidates=5)


def test_threshold_and_k(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    assert collection.search("red") == []  # nothing in it yet
    collection.sync()
    assert len(collection.search("red", k=10**9)) == 8
    assert names(collection.search("red", threshold=0.5)) == ["red"]
    assert collection.search("red", threshold=1.5) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"text": ""}, "the query is empty"),
        ({"text": " \n"}, "the query is empty"),
        ({}, "got nothing, expected one of"),
        ({"text": "a", "image": "b"}, "got text and image"),
        ({"text": "a", "k": 0}, "k is 0"),
        ({"text": "a", "k": -3}, "k is -3"),
        ({"text": "a", "candidates": 0}, "candidates is 0"),
        ({"text": "a", "on_long_text": "guess"}, "on_long_text 'guess'"),
        ({"text": "a", "where": "nope = 1"}, "no item has a field `nope`"),
        ({"embedding": np.ones(7)}, "has 7 numbers, expected 40"),
        ({"embedding": np.full(40, np.nan)}, "NaN"),
        ({"image": "missing.jpg"}, "missing.jpg: no such file"),
    ],
)
def test_wrong_questions(pictures: Path, model: FakeModel, asked: dict, message: str) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    with pytest.raises(UsageError, match=message):
        collection.search(**asked)


def test_on_long_text_reaches_the_model(pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    asked = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda *a, **k: asked.append(k.get("on_long_text")) or encode(*a, **k))
    collection.search("word " * 10_000, on_long_text="chunk")
    assert asked == ["chunk"]


def test_delete_and_compact(pictures: Path, model: FakeModel) -> None:
    (pictures / "a" / "green.txt").write_text("meadow")
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    ids = {item.path.stem: item.id for item in collection}
    assert collection.delete([ids["red"], 12345]) == 1
    assert collection.delete(pictures / "a" / "white.png") == 1
    assert collection.delete(ids["red"]) == 0
    assert len(collection) == 6
    assert "red" not in names(collection.search("red", k=100))
    before = [(hit.id, hit.score, hit.why) for hit in collection.search("green meadow", k=100)]
    dead = collection.stats().dead
    assert dead == 2
    size = sum(collection.stats().bytes.values())
    collection.compact()
    assert [(hit.id, hit.score, hit.why) for hit in collection.search("green meadow", k=100)] == before
    assert collection.stats().dead == 0
    assert sum(collection.stats().bytes.values()) < size
    assert len(collection.snapshot.segments) == 1
    assert collection.verify().ok
    report = collection.sync()  # the files are still there, so they come back, under new ids
    assert report.added == 2
    assert not {item.id for item in collection if item.path.stem in ("red", "white")} & set(ids.values())
    assert collection.delete(list(collection.snapshot.segments[0].ids)) > 0
    collection.delete([item.id for item in collection])
    assert len(collection) == 0
    assert collection.search("red") == []
    collection.compact()
    assert collection.sync().added == 8
    assert collection.verify().ok


def test_add_by_hand(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", model, root=pictures)
    other = paint(tmp_path / "elsewhere" / "x.png", "red", mark=3)
    other.with_suffix(".txt").write_text("far away")
    report = collection.add([other, pictures / "a" / "green.png"])
    assert report.ids == [0, 1]
    assert collection[0].path == other
    assert collection[1].path == pictures / "a" / "green.png"
    assert collection.search("far away", k=1)[0].why == "far away"
    # again: nothing new; then with other captions
    again = collection.add(other)
    assert (again.unchanged, again.added, again.changed, again.encoded) == (1, 0, 0, 0)
    report = collection.add([other], captions=[["close by"]], metadata=[{"year": 1999}])
    assert (report.changed, report.encoded, report.ids) == (1, 0, [0])
    assert collection[0].captions == ("close by",)
    assert collection[0].metadata["year"] == 1999
    # sync leaves alone what it did not find itself
    assert collection.sync().added == 7
    assert collection[0].captions == ("close by",)
    other.unlink()
    collection.sync()
    assert len(collection) == 9


def test_add_the_same_picture_twice_in_one_call(model: FakeModel, tmp_path: Path) -> None:
    one, two = paint(tmp_path / "1.png", "red"), paint(tmp_path / "2.png", "red")
    collection = Collection.create(tmp_path / "c", model)
    report = collection.add([one, two, one])
    assert report.ids == [0, 1, 0]
    assert report.encoded == 1


def test_add_items_of_a_manifest_with_rows(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    from crossbit.data.manifest import Caption, Item, Manifest

    items = tuple(
        Item(
            id=f"i-{p.stem}", path=str(p.relative_to(pictures)), captions=(Caption(f"the {p.stem} one"),), split="test"
        )
        for p in sorted(pictures.rglob("*.png"))
    )
    manifest = Manifest("toys", pictures, items)
    rows = model.encode("image", [pictures / item.path for item in items])
    model.calls.clear()
    collection = Collection.create(tmp_path / "c", model)
    report = collection.add(manifest, rows=rows)
    assert (report.added, report.encoded) == (8, 0)
    assert model.count("image") == 0
    assert names(collection.search(image=pictures / "a" / "green.png", k=1)) == ["green"]
    hit = collection.search("the purple one", k=1)[0]
    assert hit.why == "the purple one"
    assert hit.metadata["key"] == "i-purple"
    assert hit.metadata["split"] == "test"
    with pytest.raises(UsageError, match="8 rows for 1 items"):
        collection.add(items[:1], rows=rows, files=pictures)
    assert collection.add(items[:1], files=pictures).unchanged == 1
    with pytest.raises(UsageError, match="2 captions for 1 items"):
        collection.add(items[:1], files=pictures, captions=[[], []])
    with pytest.raises(UsageError, match="expected a list of captions"):
        collection.add(items[:1], files=pictures, captions=["red"])


def test_add_what_is_not_there(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    with pytest.raises(MediaError, match="missing.png: no such file"):
        collection.add([pictures / "a" / "green.png", pictures / "missing.png"])
    with pytest.raises(MediaError, match="a folder, expected a picture"):
        collection.add(pictures / "a")
    assert len(collection) == 0
    bad = pictures / "bad.png"
    bad.write_bytes(b"no picture")
    report = collection.add([bad, pictures / "a" / "green.png"])
    assert report.ids == [-1, 0]
    assert report.quarantined == 1


def test_another_model_is_refused(pictures: Path, model: FakeModel) -> None:
    place = pictures / ".crossbit"
    Collection.create(place, model, root=pictures).sync()
    other = FakeModel("other", seed=1)
    with pytest.raises(
        FingerprintError, match=f"made with model `fake`.*{model.fingerprint}.*`other`.*{other.fingerprint}"
    ):
        Collection.open(place, other)
    with pytest.raises(FingerprintError, match="--model other --rebuild"):
        Collection.open(pictures, other)
    rebuilt = Collection.create(place, other, root=pictures, replace=True)
    assert len(rebuilt) == 0
    assert rebuilt.sync().added == 8
    assert Collection.open(place).meta.model == "other"


def test_model_is_loaded_late(pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import crossbit.model

    asked: list[str] = []
    loads = {"fake": model, "fake2": FakeModel("fake2")}
    monkeypatch.setattr(crossbit.model.Model, "from_pretrained", lambda name: asked.append(name) or loads[name])
    Collection.create(pictures / ".crossbit", "fake", root=pictures).sync()
    asked.clear()
    collection = Collection.open(pictures)
    assert len(collection) == 8
    assert collection.search(embedding=model.encode("text", ["red"]).embedding)[0].path.stem == "red"
    with pytest.raises(UsageError):
        collection.search("red", where="nope = 1")
    assert asked == []
    assert names(collection.search("red", k=1)) == ["red"]
    collection.search("blue")
    assert asked == ["fake"]
    loads["fake"] = FakeModel("fake", seed=9)  # the same name, other weights
    with Collection.open(pictures) as again, pytest.raises(FingerprintError):
        again.search("red")


def test_a_joint_scorer_cannot_be_indexed(tmp_path: Path) -> None:
    with pytest.raises(AbilityError, match="`scan` scores pairs jointly"):
        Collection.create(tmp_path / "c", FakeModel("scan", dim=0, bits=0))
    assert not (tmp_path / "c").exists()


def test_where_it_may_lie(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="holds 'a', expected a new or empty folder"):
        Collection.create(pictures, model)
    with pytest.raises(CollectionError, match="a file, expected"):
        Collection.create(paint(tmp_path / "x.png"), model)
    (tmp_path / "empty").mkdir()
    Collection.create(tmp_path / "empty", model)
    with pytest.raises(CollectionError, match="there is a collection already"):
        Collection.create(tmp_path / "empty", model)
    with pytest.raises(CollectionError, match="no collection here"):
        Collection.open(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="vectors 'float8'"):
        Collection.create(tmp_path / "y", model, vectors="float8")  # type: ignore[arg-type]
    # killed while it was being made: not a collection yet, and made again without questions
    (tmp_path / "empty" / "head.json").unlink()
    with pytest.raises(CollectionError, match="never finished"):
        Collection.open(tmp_path / "empty")
    assert len(Collection.create(tmp_path / "empty", model)) == 0


def test_a_newer_format_is_refused(pictures: Path, model: FakeModel) -> None:
    from crossbit.search.durable import read_json, write_json

    place = pictures / ".crossbit"
    Collection.create(place, model, root=pictures)
    record = read_json(place / "head.json")
    write_json(place / "head.json", {**record, "format": 99, "shape": "new"})
    with pytest.raises(CollectionError, match="written in format 99, this crossbit reads up to 2"):
        len(Collection.open(place))


def test_moves_together(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    Collection.create(pictures / ".crossbit", model, root=pictures).sync()
    moved = tmp_path / "moved"
    pictures.rename(moved)
    collection = Collection.open(moved, model)
    assert collection.search("red", k=1)[0].path == moved / "b" / "c" / "red.png"
    assert collection.sync().unchanged == 8


def test_pictures_move_away_from_their_collection(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", model)
    with pytest.raises(UsageError, match="no folder of pictures yet"):
        collection.sync()
    collection.sync(pictures)
    other = tmp_path / "other"
    paint(other / "x.png", "red", mark=77)
    with pytest.raises(CollectionError, match="asked to synchronise"):
        collection.sync(other)
    pictures.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="no such folder"):
        collection.sync()
    report = collection.sync(tmp_path / "moved")
    assert (report.unchanged, report.encoded) == (8, 0)
    assert collection.search("red", k=1)[0].path == tmp_path / "moved" / "b" / "c" / "red.png"


def test_nothing_to_index(tmp_path: Path, model: FakeModel) -> None:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    collection = Collection.create(folder / ".crossbit", model, root=folder)
    with pytest.raises(NothingFound, match=r"pictures: no pictures found, expected files ending in .bmp .gif"):
        collection.sync()
    (folder / "notes.txt").write_text("words")
    with pytest.raises(NothingFound):
        collection.sync()
    (folder / "x.png").symlink_to(folder / "gone")
    with pytest.raises(NothingFound, match="x.png: a link that leads nowhere"):
        collection.sync()
    with pytest.raises(UsageError, match="no such folder"):
        Collection.create(tmp_path / "d", model).sync(tmp_path / "nope")


def test_an_unmounted_disk_removes_nothing(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", model, root=pictures)
    collection.sync()
    for sub in ("a", "b"):
        shutil.move(pictures / sub, tmp_path / sub)
    with pytest.raises(CollectionError, match="has no pictures, the collection knows 8 there; nothing was removed"):
        collection.sync()
    assert len(collection) == 8
    shutil.move(tmp_path / "a", pictures / "a")
    assert collection.sync().removed == 4


def test_stats(pictures: Path, model: FakeModel) -> None:
    (pictures / "a" / "green.txt").write_text("meadow\ngrass")
    (pictures / "bad.jpg").write_bytes(b"")
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    stats = collection.stats()
    assert (stats.items, stats.rows, stats.captions, stats.quarantined) == (8, 10, 2, 1)
    assert (stats.model, stats.dim, stats.bits, stats.root) == ("fake", 40, 64, pictures)
    segment = collection.snapshot.segments[0].card.name
    assert stats.bytes[f"segments/{segment}/vectors.npy"] == 128 + 10 * 40 * 2
    assert stats.bytes[f"segments/{segment}/codes.npy"] == 128 + 10 * 8
    assert stats.bytes["store"] > 0
    assert stats.fields["width"] == ["int"]
    json.dumps(stats.to_dict())
