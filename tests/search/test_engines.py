"""Engines against the public contract, a brute-force twin, and numbers by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import pack
from crossbit.errors import EngineError
from crossbit.search.engines import Engine, FlatEngine, HammingEngine, MultiIndexEngine
from crossbit.search.engines import scan as scan_module
from crossbit.search.engines.base import best_of
from crossbit.search.engines.flat import quantise, restore
from crossbit.search.engines.scan import Block
from crossbit.testing import check_engine

MAKERS: list[Callable[[], Engine]] = [
    FlatEngine,
    lambda: FlatEngine("float32"),
    HammingEngine,
    lambda: HammingEngine(64),
    lambda: MultiIndexEngine(64, threads=2, least=1),
]


@pytest.mark.parametrize("make", MAKERS)
def test_contract(make: Callable[[], Engine]) -> None:
    assert isinstance(make(), Engine)
    assert "exact" in check_engine(make)


@pytest.mark.parametrize("make", MAKERS)
def test_contract_in_many_small_chunks(make: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "CHUNK_BYTES", 7 * 128)  # seven float rows, 112 codes
    check_engine(make, seed=3)


def test_scores_by_hand() -> None:
    engine = FlatEngine("float32")
    engine.add(np.array([5, 2, 9]), np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32))
    found = engine.search(np.array([[0.8, 0.6]], dtype=np.float32), 2)
    # 5: 0.8; 2: 0.48 + 0.48 = 0.96; 9: 0.6
    assert found.ids.tolist() == [[2, 5]]
    np.testing.assert_allclose(found.scores, [[0.96, 0.8]], atol=1e-6)

    codes = HammingEngine(12)  # 12 bits lie in two bytes, four of them unused
    codes.add(np.array([1, 2]), pack(np.array([[1.0] * 12, [1.0] * 9 + [-1.0] * 3])))
    found = codes.search(pack(np.array([[1.0] * 12])), 3)
    assert found.ids.tolist() == [[1, 2, -1]]
    np.testing.assert_allclose(found.scores[0, :2], [1.0, 0.5])  # 1 - 2 * 3 / 12


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=0, max_size=40),
    st.integers(1, 45),
    st.randoms(use_true_random=False),
)
def test_best_of_is_a_full_sort(values: list[int], k: int, random: object) -> None:
    scores = np.array(values, dtype=np.float32)
    ids = np.array(list(range(len(values))), dtype=np.int64)
    random.shuffle(ids)  # type: ignore[attr-defined]
    expected = sorted(zip(-scores, ids, strict=True))[:k]
    best, who = best_of(scores, ids, k)
    assert who.tolist() == [int(i) for _, i in expected]
    assert best.tolist() == [-float(s) for s, _ in expected]


def test_int8_keeps_the_cosine() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    held, scales = quantise(rows, "int8")
    assert held.dtype == np.int8
    assert np.abs((restore(held, scales) * rows).sum(axis=1) - 1).max() < 1e-2
    engine = FlatEngine("int8")
    engine.add(np.arange(200), rows)
    found = engine.search(rows, 1)
    assert found.ids[:, 0].tolist() == list(range(200))
    np.testing.assert_allclose(engine.rows(np.array([7, 3])), rows[[7, 3]], atol=5e-3)
    zero, one = quantise(np.zeros((1, 4), dtype=np.float32), "int8")
    assert restore(zero, one).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("count", "width"), [(777, 1023), (33, 40), (4097, 128)])
def test_copies_have_one_score_wherever_they_lie(count: int, width: int) -> None:
    random = np.random.default_rng(0)
    row, query = random.standard_normal((2, 1, width)).astype(np.float32)
    assert len(np.unique(query @ np.tile(row, (count, 1)).T)) <= 2  # a matrix product may give two
    engine = FlatEngine("float32")
    engine.add(np.arange(count)[::-1].copy(), np.tile(row, (count, 1)))
    found = engine.search(query, 7)
    assert found.ids.tolist() == [list(range(7))]
    assert len(np.unique(found.scores)) == 1


def test_large_rows_are_not_kept_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.eye(4, dtype=np.float32)
    engine = FlatEngine()
    engine.add(np.arange(4), rows)
    small = engine.search(rows, 4)
    monkeypatch.setattr("crossbit.search.engines.flat.KEEP_BYTES", 0)
    fresh = FlatEngine()
    fresh.add(np.arange(4), rows)
    large = fresh.search(rows, 4)
    assert not fresh._kept
    np.testing.assert_array_equal(small.ids, large.ids)
    np.testing.assert_array_equal(small.scores, large.scores)


def test_refuses(tmp_path: Path) -> None:
    engine = FlatEngine()
    engine.add(np.array([1]), np.ones((1, 2), dtype=np.float32))
    with pytest.raises(EngineError, match="id 1 is held already"):
        engine.add(np.array([1]), np.ones((1, 2), dtype=np.float32))
    with pytest.raises(EngineError, match="stands twice"):
        engine.add(np.array([4, 4]), np.ones((2, 2), dtype=np.float32))
    with pytest.raises(EngineError, match="NaN"):
        engine.add(np.array([2]), np.array([[np.nan, 1]], dtype=np.float32))
    with pytest.raises(EngineError, match="k is 0"):
        engine.search(np.ones((1, 2), dtype=np.float32), 0)
    with pytest.raises(EngineError, match="int64"):
        engine.add(np.array([3], dtype=np.int32), np.ones((1, 2), dtype=np.float32))
    with pytest.raises(EngineError, match="id 77 is not held"):
        engine.rows(np.array([77]))
    with pytest.raises(EngineError, match="precision"):
        FlatEngine("int4")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="8 for 64 bits"):
        HammingEngine(64).attach(Block(np.array([1]), np.zeros((1, 4), dtype=np.uint8)))
    engine.save(tmp_path)
    with pytest.raises(EngineError, match="holds no HammingEngine"):
        HammingEngine.load(tmp_path)
    assert len(FlatEngine.load(tmp_path)) == 1
    FlatEngine().save(tmp_path / "empty")
    assert len(FlatEngine.load(tmp_path / "empty")) == 0


@pytest.mark.parametrize("width", [1, 2, 4, 9, 12])
def test_codes_that_are_no_whole_words_are_filled_up_once(width: int) -> None:
    random = np.random.default_rng(width)
    codes, queries = (random.integers(0, 4, (n, width), dtype=np.uint8) for n in (900, 7))
    engine = HammingEngine(8 * width)
    engine.add(np.arange(900), codes)
    engine.remove(np.arange(0, 900, 5))
    for _ in range(2):
        found = engine.search(queries, 30)
        distances = np.unpackbits(queries[:, None] ^ codes[None], axis=2).sum(axis=2).astype(int)
        distances[:, ::5] = 8 * width + 1
        expected = np.argsort(distances, axis=1, kind="stable")[:, :30]
        np.testing.assert_array_equal(found.ids, expected)
        np.testing.assert_allclose(
            found.scores, 1 - 2 * np.take_along_axis(distances, expected, 1) / (8 * width), atol=1e-6
        )
