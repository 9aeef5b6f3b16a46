"""Collections out and in again, and what other libraries make of them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossbit.errors import AbilityError, CollectionError, UsageError
from crossbit.search import Collection
from crossbit.search.exchange import FORMATS, format_of, read
from crossbit.search.records import VIEWS
from search.fakes import FakeModel, paint


def everything(collection: Collection) -> dict[int, tuple]:
    found = {}
    for item in collection:
        embeddings, codes = collection.snapshot.embeddings(item.id)
        rows = None if embeddings is None else embeddings.astype(np.float16).tolist()
        found[item.id] = (item, rows, None if codes is None else codes.tolist())
    return found


PEERS = {"faiss": "faiss", "usearch": "usearch.index"}
"""Formats whose files only their own libraries read and write."""


@pytest.fixture
def rich(pictures: Path, model: FakeModel) -> Collection:
    (pictures / "a" / "green.txt").write_text("grass\na lawn\n")
    (pictures / "a" / "green.json").write_text('{"year": 2020, "taken": "2020-05-01", "tags": ["x", "y"]}')
    (pictures / "b" / "c" / "red.txt").write_text("a rose\n")
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync(progress=False)
    collection.delete(pictures / "a" / "white.png")
    return collection


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "clip-retrieval"])
def test_out_and_in_again_is_the_same(
    rich: Collection, tmp_path: Path, kind: str, pictures: Path, model: FakeModel
) -> None:
    if kind in PEERS:
        pytest.importorskip(PEERS[kind])
    target = tmp_path / ("out.parquet" if kind == "parquet" else "out")
    assert rich.export(target, kind) == []
    assert format_of(target) == kind
    source = read(target)
    assert (source.items, source.dim, source.bits, source.model["model"]) == (7, 40, 64, "fake")
    again = Collection.import_from(target, tmp_path / "again")
    assert everything(again) == everything(rich)
    assert again.meta.fingerprint == rich.meta.fingerprint
    assert again.verify().ok
    opened = Collection.open(tmp_path / "again", model)
    assert [hit.why for hit in opened.search("lawn", k=1)] == ["a lawn"]
    model.calls.clear()
    assert opened.sync(pictures, progress=False).encoded == 1  # only white, which was taken out
    with pytest.raises(UsageError, match="exists, expected a new"):
        rich.export(target, kind)
    # into a collection that is there: known paths are replaced
    Collection.import_from(target, tmp_path / "again")
    assert len(Collection.open(tmp_path / "again", model)) == 8


def test_faiss_reads_what_goes_out(rich: Collection, tmp_path: Path, model: FakeModel) -> None:
    faiss = pytest.importorskip("faiss")
    rich.export(tmp_path / "out", "faiss")
    query = model.encode("text", ["lawn"])
    query.embedding = np.random.default_rng(3).standard_normal((1, 40)).astype(np.float32)  # without ties
    scores, ids = faiss.read_index(str(tmp_path / "out" / "embeddings.faiss")).search(query.embedding, 5)
    ours = rich.snapshot.flat.search(query.embedding, 5)
    np.testing.assert_array_equal(ids, ours.ids)
    np.testing.assert_allclose(scores, ours.scores, atol=1e-5)
    distances, ids = faiss.read_index_binary(str(tmp_path / "out" / "codes.faiss")).search(query.code, 10)
    assert dict(zip(ids[0].tolist(), (1 - 2 * distances[0] / 64).tolist(), strict=True)) == pytest.approx(
        dict(zip(*(part[0].tolist() for part in _ranking(rich, query.code)), strict=True))
    )


def _ranking(collection: Collection, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = collection.snapshot.hamming.search(code, 10)
    return found.ids, found.scores


def test_usearch_reads_what_goes_out(rich: Collection, tmp_path: Path) -> None:
    usearch = pytest.importorskip("usearch.index")
    rich.export(tmp_path / "out", "usearch")
    query = np.random.default_rng(3).standard_normal((1, 40)).astype(np.float32)  # without ties
    found = usearch.Index.restore(str(tmp_path / "out" / "embeddings.usearch")).search(query[0], 3, exact=True)
    assert found.keys.tolist() == rich.snapshot.flat.search(query, 3).ids[0].tolist()


@pytest.mark.parametrize("made", ["flat", "idmap", "l2", "hnsw", "binary", "binary idmap"])
def test_indexes_that_faiss_made(tmp_path: Path, made: str) -> None:
    faiss = pytest.importorskip("faiss")
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((50, 16)).astype(np.float32)
    codes = draw.integers(0, 256, (50, 4), dtype=np.uint8)
    ids = np.arange(50, dtype=np.int64) * 3 + 7
    if made == "flat":
        index = faiss.IndexFlatIP(16)
    elif made == "l2":
        index = faiss.IndexFlatL2(16)
    elif made == "hnsw":
        index = faiss.IndexHNSWFlat(16, 8)
    elif made == "idmap":
        index = faiss.IndexIDMap(faiss.IndexFlatIP(16))
    elif made == "binary":
        index = faiss.IndexBinaryFlat(32)
    else:
        index = faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(32))
    data = codes if made.startswith("binary") else rows
    if "idmap" in made:
        index.add_with_ids(data, ids)
    else:
        index.add(data)
    path = tmp_path / "made.index"
    (faiss.write_index_binary if made.startswith("binary") else faiss.write_index)(index, str(path))
    collection = Collection.import_from(path, tmp_path / "c", name="theirs")
    assert len(collection) == 50
    assert collection.meta.model == "theirs"
    names = [item.path.name for item in collection]
    assert names[:2] == (["7", "10"] if "idmap" in made else ["row-000000000", "row-000000001"])
    if made.startswith("binary"):
        np.testing.assert_array_equal(np.concatenate([collection.snapshot.embeddings(n)[1] for n in range(50)]), codes)
        return
    hits = collection.search(embedding=rows[13], k=1)
    assert (hits[0].id, hits[0].score) == (13, pytest.approx(1 * np.linalg.norm(rows[13]), rel=1e-3))
    with pytest.raises(AbilityError, match="`theirs` made its rows elsewhere"):
        collection.search("words")


def test_npy_alone_with_paths(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "paths.txt").write_text("a.png\nb/c.png\nd.png\ne.png\nf.png\n")
    source = read(tmp_path / "rows.npy", paths=tmp_path / "paths.txt")
    collection = Collection.import_from(source, tmp_path / "c", vectors="float32")
    assert [str(item.path) for item in collection] == ["a.png", "b/c.png", "d.png", "e.png", "f.png"]
    first = rows[0].astype(np.float32)
    np.testing.assert_allclose(collection.snapshot.embeddings(0)[0][0], first / np.linalg.norm(first), atol=1e-6)
    np.save(tmp_path / "codes.npy", np.arange(20, dtype=np.uint8).reshape(5, 4))
    source = read(tmp_path / "codes.npy", bits=30)
    assert (source.dim, source.bits) == (0, 30)
    assert Collection.import_from(source, tmp_path / "d").meta.bits == 30
    (tmp_path / "paths.txt").write_text("a.png\n")
    with pytest.raises(UsageError, match="1 paths for 5 items"):
        read(tmp_path / "rows.npy", paths=tmp_path / "paths.txt")


def test_a_table_of_somebody_else(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((4, 8))
    table = {"image_path": ["a.png", "b.png", "c.png", "d.png"], "vector": rows.tolist(), "year": [1, 2, 3, None]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    collection = Collection.import_from(tmp_path / "t.parquet", tmp_path / "c")
    assert [(item.path.name, item.metadata) for item in collection] == [
        ("a.png", {"year": 1}), ("b.png", {"year": 2}), ("c.png", {"year": 3}), ("d.png", {}),
    ]  # fmt: skip
    assert [hit.id for hit in collection.search(embedding=rows[2].astype(np.float32), k=1, where="year > 1")] == [2]
    pq.write_table(pa.table({"x": [1]}), tmp_path / "none.parquet")
    with pytest.raises(CollectionError, match=r"has columns \['x'\], expected one of embedding"):
        read(tmp_path / "none.parquet")
    table["vector"][2] = [1.0]
    pq.write_table(pa.table(table), tmp_path / "short.parquet")
    with pytest.raises(CollectionError, match="row 2 has no embedding of 8 numbers"):
        Collection.import_from(tmp_path / "short.parquet", tmp_path / "e")


def test_clip_retrieval_out_and_in(
    rich: Collection, tmp_path: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossbit.search.exchange.clip_retrieval_files.PART", 3)
    notes = rich.export(tmp_path / "out", "clip-retrieval")
    assert notes == ["1 captions after the first of a picture are left out", "codes are left out"]
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == [
        *(f"img_emb/img_emb_{n}.npy" for n in range(3)),
        *(f"metadata/metadata_{n}.parquet" for n in range(3)),
        *(f"text_emb/text_emb_{n}.npy" for n in range(3)),
    ]
    table = pq.read_table(tmp_path / "out" / "metadata" / "metadata_0.parquet")
    assert {"image_path", "caption"} <= set(table.column_names)
    plain = FakeModel(bits=0)
    again = Collection.import_from(tmp_path / "out", tmp_path / "c", model=plain)
    want = {item.path: (item.captions[:1], item.metadata) for item in rich}
    assert {item.path: (item.captions, item.metadata) for item in again} == want
    assert Collection.open(tmp_path / "c", plain).search("grass", k=1)[0].why == "grass"


def test_a_folder_that_clip_retrieval_made(tmp_path: Path) -> None:
    """Two parts as its `inference` writes them: float16, captions, urls."""
    draw = np.random.default_rng(1)
    for name in ("img_emb", "text_emb", "metadata"):
        (tmp_path / "in" / name).mkdir(parents=True)
    rows = {}
    for part, count in enumerate((4, 2)):
        for name in ("img_emb", "text_emb"):
            rows[name, part] = draw.standard_normal((count, 8)).astype(np.float16)
            np.save(tmp_path / "in" / name / f"{name}_{part}.npy", rows[name, part])
        table = {
            "image_path": [f"{part}/{number}.jpg" for number in range(count)],
            "caption": [f"text {part} {number}" for number in range(count)],
            "url": [f"u{number}" for number in range(count)],
        }
        pq.write_table(pa.table(table), tmp_path / "in" / "metadata" / f"metadata_{part}.parquet")
    collection = Collection.import_from(tmp_path / "in", tmp_path / "c", name="ViT-B/32")
    assert [item.path.as_posix() for item in collection][3:5] == ["0/3.jpg", "1/0.jpg"]
    hit = collection.search(embedding=rows["text_emb", 1][1].astype(np.float32), k=1)[0]
    assert (hit.path.as_posix(), hit.why, hit.metadata) == ("1/1.jpg", "text 1 1", {"url": "u1"})
    (tmp_path / "in" / "metadata" / "metadata_1.parquet").unlink()
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "in" / "metadata" / "metadata_1.parquet")
    with pytest.raises(CollectionError, match="1 rows for 2 embeddings"):
        Collection.import_from(tmp_path / "in", tmp_path / "d")


def test_what_cannot_be_read(tmp_path: Path, rich: Collection, model: FakeModel) -> None:
    (tmp_path / "x.npy").write_bytes(b"not an array")
    (tmp_path / "x.faiss").write_bytes(b"not an index")
    (tmp_path / "x.parquet").write_bytes(b"not a table")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.save(tmp_path / "zero.npy", np.zeros((3, 4)))
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    for name, message in (
        ("x.npy", "not an .npy file"), ("x.faiss", "not an index that faiss reads"), ("x.parquet", "not a Parquet file"),
        ("empty", "of no format that is known"), ("missing", "no such file"), ("one.npy", r"shape \(3,\)"),
        ("zero.npy", "row 0 is zero or not finite"), ("objects.npy", "not an .npy file"),
    ):  # fmt: skip
        if name.endswith(".faiss") and find_spec("faiss") is None:
            continue
        with pytest.raises(CollectionError, match=message):
            Collection.import_from(tmp_path / name, tmp_path / f"to {name}")
    rich.export(tmp_path / "out", "numpy")
    np.save(tmp_path / "out" / "embeddings.npy", np.load(tmp_path / "out" / "embeddings.npy")[:3])
    with pytest.raises(CollectionError, match="needs more than the 3 embeddings"):
        Collection.import_from(tmp_path / "out", tmp_path / "short")
    with pytest.raises(UsageError, match="format 'csv', expected one of numpy"):
        rich.export(tmp_path / "csv", "csv")
    rich.export(tmp_path / "p.parquet", "parquet")
    with pytest.raises(CollectionError, match=r"embeddings of 40 numbers and 64 bits, `fake` gives 8 and 64"):
        Collection.import_from(tmp_path / "p.parquet", tmp_path / "w", model=FakeModel(dim=8))


def test_row_numbers_are_items_and_views(rich: Collection, tmp_path: Path) -> None:
    rich.export(tmp_path / "out", "numpy")
    rows = np.load(tmp_path / "out" / "rows.npy")
    green = next(item for item in rich if item.path.stem == "green")
    assert {green.id * VIEWS, green.id * VIEWS + 1, green.id * VIEWS + 2} <= set(rows.tolist())
    assert len(rows) == rich.snapshot.rows == len(np.load(tmp_path / "out" / "codes.npy"))


def test_items_without_a_file_live_on(tmp_path: Path, model: FakeModel) -> None:
    np.save(tmp_path / "rows.npy", np.eye(40, dtype=np.float32)[:3])
    collection = Collection.import_from(tmp_path / "rows.npy", tmp_path / "c", model=FakeModel(bits=0))
    opened = Collection.open(tmp_path / "c", FakeModel(bits=0))
    folder = tmp_path / "pictures"
    paint(folder / "red.png", "red")
    opened.sync(folder, progress=False)
    assert len(opened) == 4
    with pytest.raises(CollectionError, match="cannot be encoded anew"):
        opened.migrate(FakeModel("new"), progress=False)
    assert collection.verify().ok
