"""Cascade against sorting everything in Python."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit import cascade
from crossbit.cascade import Stage, parse_stages, rerank, rescore, retrieve
from crossbit.codes import pack, unpack
from crossbit.errors import ConfigError, EngineError
from crossbit.ranking import Ranking


def slow(similarity: np.ndarray, ids: np.ndarray, k: int, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    found = np.full((len(similarity), k), -1, np.int64)
    scores = np.full((len(similarity), k), -np.inf, np.float32)
    for q in range(len(similarity)):
        order = sorted(rows, key=lambda row: (-similarity[q, row], ids[row]))[:k]
        found[q, : len(order)] = ids[order]
        scores[q, : len(order)] = similarity[q, order]
    return found, scores


@st.composite
def problem(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, np.ndarray | None, np.ndarray | None]:
    """Small integers as embeddings: dot products are exact and tie often."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    q, n, width = draw(st.integers(0, 6)), draw(st.integers(0, 30)), draw(st.integers(1, 5))
    queries = random.integers(-2, 3, (q, width)).astype(np.float32)
    items = random.integers(-2, 3, (n, width)).astype(np.float32)
    ids = draw(st.sampled_from(["rows", "rising", "shuffled"]))
    numbers = {"rows": None, "rising": 7 + 3 * np.arange(n), "shuffled": 100 + random.permutation(n)}[ids]
    allow = None if draw(st.booleans()) else random.random(n) < 0.5
    return queries, items, draw(st.integers(1, 40)), numbers, allow


@given(problem())
def test_dots_agree_with_sorting(
    case: tuple[np.ndarray, np.ndarray, int, np.ndarray | None, np.ndarray | None],
) -> None:
    queries, items, k, ids, allow = case
    rows = list(range(len(items))) if allow is None else np.flatnonzero(allow).tolist()
    expected = slow(queries @ items.T, np.arange(len(items)) if ids is None else ids, k, rows)
    ranking = retrieve(queries, items, k, ids=ids, allow=allow)
    np.testing.assert_array_equal(ranking.ids, expected[0])
    np.testing.assert_array_equal(ranking.scores, expected[1])


@given(problem(), st.integers(1, 20))
def test_codes_agree_with_sorting(
    case: tuple[np.ndarray, np.ndarray, int, np.ndarray | None, np.ndarray | None], bits: int
) -> None:
    queries, items, k, ids, allow = case
    random = np.random.default_rng(bits)
    a, b = random.standard_normal((len(queries), bits)), random.standard_normal((len(items), bits))
    cosine = (np.where(a >= 0, 1, -1) @ np.where(b >= 0, 1, -1).T / bits).astype(np.float32)
    rows = list(range(len(items))) if allow is None else np.flatnonzero(allow).tolist()
    expected = slow(cosine, np.arange(len(items)) if ids is None else ids, k, rows)
    ranking = retrieve(pack(a), pack(b), k, bits=bits, ids=ids, allow=allow)
    np.testing.assert_array_equal(ranking.ids, expected[0])
    np.testing.assert_allclose(ranking.scores, expected[1], atol=1e-7)


def test_score_of_a_code_is_the_cosine_of_its_signs() -> None:
    codes = pack(np.random.default_rng(0).standard_normal((6, 24)))
    ranking = retrieve(codes, codes, 6)
    signs = unpack(codes, 24)
    cosine = signs @ signs.T / 24
    np.testing.assert_allclose(ranking.scores, np.take_along_axis(cosine, ranking.ids, axis=1), atol=1e-6)


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    queries, items = (
        random.integers(-3, 4, (9, 4)).astype(np.float32),
        random.integers(-3, 4, (200, 4)).astype(np.float32),
    )
    whole = retrieve(queries, items, 17)
    monkeypatch.setattr(cascade, "_BLOCK_ROWS", 23)
    monkeypatch.setattr(cascade, "_BLOCK_PAIRS", 50)
    parts = retrieve(queries, items, 17)
    np.testing.assert_array_equal(parts.ids, whole.ids)
    np.testing.assert_array_equal(parts.scores, whole.scores)


def test_every_float_keeps_its_order() -> None:
    values = np.array([np.inf, 3e38, 1.0, 1e-40, 0.0, -0.0, -1e-40, -1.0, -3e38, -np.inf], np.float32)
    shuffled = np.random.default_rng(0).permutation(values)
    ranking = retrieve(np.ones((1, 1), np.float32), shuffled[:, None], 10)
    np.testing.assert_array_equal(ranking.scores[0], values)


def test_both_zeros_tie() -> None:
    keys = cascade._keys(np.array([[-0.0, 0.0]], np.float32), 0)
    assert keys[0, 1] - keys[0, 0] == 1  # one score, the earlier place first


def test_half_precision_items_are_read_as_they_are() -> None:
    items = np.array([[0.1], [0.2]], np.float16)
    ranking = retrieve(np.ones((1, 1), np.float32), items, 1)
    assert ranking.ids.tolist() == [[1]]
    assert ranking.scores[0, 0] == np.float32(np.float16(0.2))


def test_rows_that_do_not_fit_are_named() -> None:
    rows = np.zeros((2, 3), np.float32)
    with pytest.raises(EngineError, match="expected one width"):
        retrieve(rows, np.zeros((2, 4), np.float32), 1)
    with pytest.raises(EngineError, match="both floating or both uint8"):
        retrieve(rows, np.zeros((2, 3), np.uint8), 1)
    with pytest.raises(EngineError, match="k is 0"):
        retrieve(rows, rows, 0)
    with pytest.raises(EngineError, match="NaN"):
        retrieve(rows, np.full((2, 3), np.nan, np.float32), 1)
    with pytest.raises(EngineError, match="bytes wide"):
        retrieve(rows.astype(np.uint8), rows.astype(np.uint8), 1, bits=30)


CANDIDATES = Ranking(
    np.array([[5, 3, 8, -1], [1, -1, -1, -1]], np.int64),
    np.array([[0.9, 0.8, 0.7, -np.inf], [0.5, -np.inf, -np.inf, -np.inf]], np.float32),
)


def test_rerank_orders_by_the_scorer_then_by_id() -> None:
    seen = []

    def scorer(query: int, ids: np.ndarray) -> np.ndarray:
        seen.append((query, ids.tolist()))
        return np.where(ids == 5, 0.1, 0.4)

    ranking = rerank(CANDIDATES, scorer, keep=2)
    assert seen == [(0, [5, 3, 8]), (1, [1])]
    assert ranking.ids.tolist() == [[3, 8], [1, -1]]
    np.testing.assert_allclose(ranking.scores, [[0.4, 0.4], [0.4, -np.inf]])


def test_rerank_with_all_candidates_is_the_full_joint_score() -> None:
    random = np.random.default_rng(2)
    joint = random.standard_normal((4, 30)).astype(np.float32)
    rows = random.standard_normal((30, 3)).astype(np.float32)
    ranking = rerank(retrieve(rows[:4], rows, 30), lambda query, ids: joint[query, ids], keep=30)
    np.testing.assert_array_equal(ranking.ids, np.argsort(-joint, axis=1))


def test_budget_leaves_the_rest_in_their_order() -> None:
    ids = np.arange(40, dtype=np.int64)[None]
    ranking = Ranking(ids, -ids.astype(np.float32))

    def slow_scorer(query: int, ids: np.ndarray) -> np.ndarray:
        time.sleep(0.002)
        return ids.astype(np.float32)

    reordered = rerank(ranking, slow_scorer, keep=40, budget_ms=0.5)
    # one step of 16 is scored and turned round, the others wait behind
    assert reordered.ids[0].tolist() == [*range(15, -1, -1), *range(16, 40)]
    assert np.isneginf(reordered.scores[0, 16:]).all()
    assert np.isfinite(reordered.scores[0, :16]).all()


def test_scorer_must_answer_for_each_candidate() -> None:
    with pytest.raises(EngineError, match="expected \\(3,\\)"):
        rerank(CANDIDATES, lambda query, ids: np.zeros(2), keep=1)


def test_rescore_finds_what_dense_retrieval_finds() -> None:
    random = np.random.default_rng(3)
    rows = random.standard_normal((50, 8)).astype(np.float32)
    shortlist = retrieve(pack(rows[:5]), pack(rows), 50)
    ranking = rescore(shortlist, rows[:5], lambda ids: rows[ids], keep=7)
    np.testing.assert_array_equal(ranking.ids, retrieve(rows[:5], rows, 7).ids)


def test_stages_are_read_as_written() -> None:
    assert parse_stages("code:2000, embedding:200,score:20") == (
        Stage("code", 2000),
        Stage("embedding", 200),
        Stage("score", 20),
    )


@pytest.mark.parametrize("text", ["", "code", "code:x", "dense:5", "code:0", "code:10,score:20"])
def test_stages_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="stage"):
        parse_stages(text)
