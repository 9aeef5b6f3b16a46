"""Hamming distances and top-k against a loop that looks at every bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import hamming, hamming_distances, hamming_topk, kernel, pack, unpack
from crossbit.errors import EngineError


def slow_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    bits_a, bits_b = np.unpackbits(a, axis=1), np.unpackbits(b, axis=1)
    return np.array([[int((x != y).sum()) for y in bits_b] for x in bits_a]).reshape(len(a), len(b))


def slow_topk(a: np.ndarray, b: np.ndarray, k: int, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    distances = slow_distances(a, b)
    found = np.full((len(a), k), -1, np.int64)
    how_far = np.full((len(a), k), 8 * a.shape[1] + 1, np.int32)
    for q in range(len(a)):
        order = sorted(rows, key=lambda row: (distances[q, row], row))[:k]
        found[q, : len(order)] = order
        how_far[q, : len(order)] = distances[q, order]
    return found, how_far


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    width = draw(st.integers(1, 20))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    # few distinct bytes, so that ties are many
    a = random.choice(np.array([0, 1, 255], np.uint8), (draw(st.integers(0, 12)), width))
    b = random.choice(np.array([0, 1, 255], np.uint8), (draw(st.integers(0, 40)), width))
    return a, b


def test_distance_by_hand() -> None:
    a = np.array([[0b11110000, 0b00000001]], np.uint8)
    b = np.array([[0b11110000, 0b00000001], [0b00001111, 0b00000001], [0b11110001, 0b10000000]], np.uint8)
    assert hamming_distances(a, b).tolist() == [[0, 8, 3]]


@given(two_sets())
def test_distances_agree_with_a_loop_over_bits(sets: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(hamming_distances(*sets), slow_distances(*sets))


@pytest.mark.parametrize("level", kernel.levels())
@given(sets=two_sets(), k=st.integers(1, 50), mask=st.booleans(), threads=st.integers(1, 3), data=st.data())
def test_topk_agrees_with_sorting(
    level: str, sets: tuple[np.ndarray, np.ndarray], k: int, mask: bool, threads: int, data: st.DataObject
) -> None:
    queries, codes = sets
    rows = data.draw(st.none() | st.lists(st.integers(0, max(0, len(codes) - 1)), max_size=len(codes)))
    rows = None if rows is None or not len(codes) else rows
    allow = None if rows is None else np.array(rows, np.int64)
    if mask and allow is not None:
        allow = np.isin(np.arange(len(codes)), allow)
    expected = slow_topk(queries, codes, k, sorted(set(range(len(codes)) if rows is None else rows)))
    found = hamming_topk(queries, codes, k, allow=allow, threads=threads, level=level)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("bits", [8, 24, 64, 128, 200, 1024, 4096])
def test_distance_is_the_cosine_of_the_signs(bits: int) -> None:
    random = np.random.default_rng(bits)
    a, b = random.standard_normal((9, bits)), random.standard_normal((13, bits))
    expected = (bits - np.sign(a) @ np.sign(b).T) / 2
    np.testing.assert_array_equal(hamming_distances(pack(a), pack(b)), expected)
    np.testing.assert_array_equal(unpack(pack(a), bits), np.sign(a))


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    queries = random.integers(0, 4, (20, 2), dtype=np.uint8)
    codes = random.integers(0, 4, (300, 2), dtype=np.uint8)
    whole = hamming_topk(queries, codes, 25, level="numpy")
    monkeypatch.setattr(hamming, "_KEY_ROW_BITS", 5)  # blocks of 32 rows
    monkeypatch.setattr(hamming, "_BLOCK_PAIRS", 96)  # three queries at once
    monkeypatch.setattr(hamming, "_CACHE_PAIRS", 50)
    parts = hamming_topk(queries, codes, 25, level="numpy")
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_array_equal(whole[0], slow_topk(queries, codes, 25, list(range(300)))[0])


@settings(max_examples=20)
@given(two_sets())
def test_distance_is_a_metric(sets: tuple[np.ndarray, np.ndarray]) -> None:
    codes = np.concatenate(sets)
    distances = hamming_distances(codes, codes)
    assert (np.diag(distances) == 0).all()
    np.testing.assert_array_equal(distances, distances.T)
    assert (distances[:, None, :] <= distances[:, :, None] + distances[None, :, :]).all()


def test_inputs_that_do_not_fit_are_named() -> None:
    codes = np.zeros((3, 2), np.uint8)
    with pytest.raises(EngineError, match="2 and of 3 bytes"):
        hamming_distances(codes, np.zeros((3, 3), np.uint8))
    with pytest.raises(EngineError, match="k is 0"):
        hamming_topk(codes, codes, 0)
    with pytest.raises(EngineError, match="names row 3, expected 0 to 2"):
        hamming_topk(codes, codes, 1, allow=np.array([3]))
    with pytest.raises(EngineError, match="expected \\(3,\\)"):
        hamming_topk(codes, codes, 1, allow=np.array([True, False]))
    with pytest.raises(EngineError, match="bits, expected 1 to"):
        hamming_topk(np.zeros((1, 4000), np.uint8), np.zeros((1, 4000), np.uint8), 1)
