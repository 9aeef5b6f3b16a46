"""How a collection holds embeddings and what searches its codes: asked for once, kept, told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossbit.codes import kernel
from crossbit.errors import UsageError
from crossbit.search import query as query_module
from crossbit.search.collection import Collection
from crossbit.search.engines import HammingEngine, MultiIndexEngine
from search.fakes import FakeModel, paint


@pytest.mark.parametrize(("vectors", "close"), [("float32", 0.0), ("float16", 1e-3), ("int8", 1e-2)])
def test_vectors_are_held_as_asked(
    model: FakeModel, pictures: Path, tmp_path: Path, vectors: str, close: float
) -> None:
    made = Collection.create(tmp_path / "c", model, root=pictures, vectors=vectors)  # type: ignore[arg-type]
    made.sync(pictures, progress=False)
    again = Collection.open(tmp_path / "c", model)
    assert again.stats().vectors == vectors
    item = next(iter(again))
    expected = model.encode("image", [item.path]).embedding[0]
    held, _ = again.snapshot.embeddings(item.id)
    assert held is not None
    assert np.abs(held[0] - expected).max() <= close
    assert again.search("red", k=1)[0].path.name == "red.png"
    made.compact()
    assert again.search("blue", k=1)[0].path.name == "blue.png"
    assert np.abs(again.snapshot.embeddings(item.id)[0][0] - expected).max() <= close


def test_what_searches_the_codes_is_kept_and_told(
    model: FakeModel, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel.extension() is None:
        pytest.skip("multi-index hashing needs the kernel")
    monkeypatch.setattr(query_module, "TWO_STAGES_ABOVE", 0)
    answers = {}
    for engine in ("auto", "scan", "mih"):
        made = Collection.create(tmp_path / engine, model, root=pictures, engine=engine)  # type: ignore[arg-type]
        made.sync(pictures, progress=False)
        with caplog.at_level(logging.INFO, "crossbit"):
            answers[engine] = [hit.path for hit in made.search("green", k=5)]
        found = Collection.open(tmp_path / engine).stats().to_dict()["engine"]
        assert (found["engine"], found["recall"]) == ("mih" if engine == "mih" else "scan", 1.0)
    assert answers["auto"] == answers["scan"] == answers["mih"]
    assert "codes: mih, exact" in caplog.text
    assert "codes: scan, exact" in caplog.text


def test_tables_are_not_made_again_for_what_a_commit_left_alone(
    model: FakeModel, many: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel.extension() is None:
        pytest.skip("multi-index hashing needs the kernel")
    monkeypatch.setattr(query_module, "TWO_STAGES_ABOVE", 0)
    made = Collection.create(tmp_path / "c", model, engine="mih")
    made.add(sorted(many(40).rglob("*.png")))
    first = made.snapshot.hamming
    assert isinstance(first, MultiIndexEngine)
    first.least = 1
    first.prepare()
    made.add([paint(tmp_path / "new.png", "blue", mark=999)])
    second = made.snapshot.hamming
    assert second is not first
    assert isinstance(second, MultiIndexEngine)
    assert second.index(second.blocks[0]) is None  # of few codes
    second.least = 1
    assert second.index(second.blocks[0]) is first.index(first.blocks[0])
    assert [hit.id for hit in made.search("green", k=50)] == [
        hit.id for hit in Collection.open(tmp_path / "c", model).search("green", k=50)
    ]


def test_dense_models_have_no_engine_for_codes(pictures: Path, tmp_path: Path) -> None:
    made = Collection.create(tmp_path / "c", FakeModel(bits=0), root=pictures)
    assert made.stats().engine == {}


def test_what_is_not_there_is_refused(model: FakeModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="vectors 'int4', expected one of float32, float16, int8"):
        Collection.create(tmp_path / "c", model, vectors="int4")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="engine 'ivf', expected one of auto, scan, mih, hnsw"):
        Collection.create(tmp_path / "c", model, engine="ivf")  # type: ignore[arg-type]


def test_where_few_are_left_all_of_them_are_compared(
    model: FakeModel, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Collection.create(tmp_path / "c", model, root=pictures)
    made.sync(pictures, progress=False)
    monkeypatch.setattr(query_module, "TWO_STAGES_ABOVE", 0)
    two_stages = [hit.path.name for hit in made.search("red", k=2, where="name != 'blue.png'")]
    asked: list[int] = []
    scan = HammingEngine.search_among

    def spy(self: HammingEngine, rows: np.ndarray, k: int, masks: object) -> object:
        asked.append(k)
        return scan(self, rows, k, masks)  # type: ignore[arg-type]

    monkeypatch.setattr(HammingEngine, "search_among", spy)
    assert [hit.path.name for hit in made.search("red", k=2, where="name != 'blue.png'")] == two_stages
    assert asked == []  # seven rows are left: no short list
    made.search("red", k=2)
    made.search("red", k=2, where="name != 'blue.png'", candidates=5)  # a short list that is asked for is made
    monkeypatch.setattr(query_module, "EXACT_WHERE", 6)
    made.search("red", k=2, where="name != 'blue.png'")
    assert len(asked) == 3
