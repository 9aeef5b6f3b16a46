"""Standings: the four counts against plain comparison, in blocks, from rows, both ways."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import hamming_distances, pack
from crossbit.errors import MetricError
from crossbit.metrics import (
    Relevant,
    SharedLabels,
    Standings,
    blocks,
    first_rank,
    join,
    recall_at_k,
    standings,
    standings_both_ways,
    standings_from_rows,
)
from crossbit.metrics.blocks import repeated_rows


def slow(similarity: np.ndarray, relevant: list[set[int]]) -> list[list[tuple[int, int, int, int]]]:
    """Count by comparing every item with every group."""
    found = []
    for row, wanted in zip(similarity, relevant, strict=True):
        groups = []
        for value in sorted({row[i] for i in wanted}, reverse=True):
            groups.append(
                (
                    int((row > value).sum()),
                    int((row == value).sum()),
                    sum(row[i] == value for i in wanted),
                    sum(row[i] > value for i in wanted),
                )
            )
        found.append(groups)
    return found


def as_lists(found: Standings) -> list[list[tuple[int, int, int, int]]]:
    rows = np.stack([found.ahead, found.tied, found.relevant, found.relevant_ahead], axis=1)
    return [[tuple(row.tolist()) for row in rows[a:b]] for a, b in zip(found.offsets, found.offsets[1:], strict=False)]


def same(a: Standings, b: Standings) -> bool:
    return as_lists(a) == as_lists(b) and a.gallery == b.gallery


@st.composite
def problem(draw: st.DrawFn) -> tuple[np.ndarray, list[set[int]]]:
    queries, items = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    similarity = random.integers(0, draw(st.integers(1, 40)), (queries, items)).astype(np.float32)
    share = draw(st.sampled_from([0.05, 0.3, 0.9]))
    return similarity, [set(np.flatnonzero(random.random(items) < share).tolist()) for _ in range(queries)]


@settings(deadline=None)
@given(problem(), st.integers(1, 6))
def test_counts_agree_with_plain_comparison(case: tuple[np.ndarray, list[set[int]]], size: int) -> None:
    similarity, wanted = case
    relevant = Relevant.from_lists([sorted(one) for one in wanted], similarity.shape[1])
    whole = standings(similarity, relevant)
    assert as_lists(whole) == slow(similarity, wanted)
    assert whole.totals.tolist() == [len(one) for one in wanted]
    cuts = range(0, len(similarity), size)
    assert same(standings((similarity[i : i + size] for i in cuts), relevant), whole)
    assert same(standings(lambda: [similarity[i : i + size] for i in cuts], relevant), whole)
    assert same(standings(similarity, relevant_table(wanted, similarity.shape[1])), whole)


def relevant_table(wanted: list[set[int]], items: int) -> np.ndarray:
    return np.array([[i in one for i in range(items)] for one in wanted])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.booleans())
def test_rows_agree_with_the_whole_matrix(seed: int, a: int, b: int, block: int, packed: bool) -> None:
    random = np.random.default_rng(seed)
    table = random.random((a, b)) < 0.2
    relevant = Relevant.from_dense(table)
    if packed:
        left, right = random.integers(0, 4, (a, 3), dtype=np.uint8), random.integers(0, 4, (b, 3), dtype=np.uint8)
        similarity = -hamming_distances(left, right)
    else:
        left, right = (
            random.integers(-2, 3, (a, 4)).astype(np.float32),
            random.integers(-2, 3, (b, 4)).astype(np.float32),
        )
        similarity = left @ right.T
    forth, back = standings_both_ways(left, right, relevant, block=block)
    assert same(forth, standings(similarity, relevant))
    assert same(back, standings(similarity.T, relevant.turned()))
    assert same(standings_from_rows(left, right, relevant, block=block), forth)
    assert same(standings_from_rows(right, left, table.T.copy(), block=block), back)


def test_both_ways_compares_pairs_once_and_agrees_on_real_floats() -> None:
    random = np.random.default_rng(0)
    images = random.standard_normal((300, 32)).astype(np.float32)
    owner = np.sort(random.integers(0, 300, 900))
    captions = images[owner] + random.standard_normal((900, 32)).astype(np.float32)
    forth, back = standings_both_ways(images, captions, Relevant.from_owner(owner, 300).turned(), block=77)
    similarity = images.astype(np.float64) @ captions.T.astype(np.float64)
    assert same(forth, standings(similarity, Relevant.from_owner(owner, 300).turned()))
    assert same(back, standings(similarity.T, owner))


def test_columns_whose_similarity_moved_are_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rounding in the small products must not put relevant items before or behind equal ones."""
    rows = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    truth = standings_both_ways(rows, rows + 1, np.arange(40))
    plain = blocks._Pairs.of_relevant
    monkeypatch.setattr(blocks._Pairs, "of_relevant", lambda self, who: np.nextafter(plain(self, who), np.float32(9)))
    forth, back = standings_both_ways(rows, rows + 1, np.arange(40))
    assert same(forth, truth[0])
    assert same(back, truth[1])


def test_copies_tie_exactly() -> None:
    """The same caption of two images must tie with itself wherever the matrix product rounds it."""
    random = np.random.default_rng(0)
    images = random.standard_normal((211, 100)).astype(np.float32)
    captions = images[random.integers(0, 20, 1003)]  # twenty different rows, a thousand times
    owner = random.integers(0, 211, 1003)
    forth, back = standings_both_ways(images, captions, Relevant.from_owner(owner, 211).turned(), block=50)
    kinds = repeated_rows(captions)
    assert len(kinds[0]) == 1003 - 20
    sizes = np.unique(captions, axis=0, return_counts=True)[1]
    assert set(forth.tied.tolist()) <= set(sizes.tolist())
    # images with one caption row: the best group of each query is one kind of caption, all copies in it
    assert (back.tied == 1).all()


def test_copies_tie_where_a_product_rounds_by_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some BLAS round the last columns of a block in another way; here every second column is off by one bit."""
    plain = np.matmul

    def uneven(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        plain(a, b, out=out)
        out[:, 1::2] = np.nextafter(out[:, 1::2], np.float32(9))
        return out

    random = np.random.default_rng(0)
    kinds = random.standard_normal((5, 16)).astype(np.float32)
    which = random.permutation(np.repeat(np.arange(5), 9))
    images = random.standard_normal((31, 16)).astype(np.float32)
    monkeypatch.setattr(np, "matmul", uneven)
    forth = standings_from_rows(images, kinds[which], np.arange(31))
    assert forth.tied.tolist() == [9] * 31
    both, _ = standings_both_ways(images, kinds[which], np.arange(31))
    assert both.tied.tolist() == [9] * 31


def test_repeated_rows_are_found_by_their_bits() -> None:
    rows = np.array([[1.0, 2], [3, 4], [1, 2], [3, 4], [1, 2], [2, 1]], np.float32)
    copies, originals = repeated_rows(rows)
    assert copies.tolist() == [2, 3, 4]
    assert originals.tolist() == [0, 1, 0]


def test_almost_collapsed_model_is_not_perfect() -> None:
    """Embeddings that differ less than the rounding: relevant items must not win by how they are computed."""
    random = np.random.default_rng(0)
    one = random.standard_normal(64).astype(np.float32)
    images = one + np.float32(1e-7) * random.standard_normal((400, 64)).astype(np.float32)
    captions = one + np.float32(1e-7) * random.standard_normal((2000, 64)).astype(np.float32)
    forth, back = standings_both_ways(images, captions, Relevant.from_owner(np.arange(2000) // 5, 400).turned())
    assert recall_at_k(forth, 1).mean() < 0.05
    assert recall_at_k(back, 1).mean() < 0.05


def test_small_sets_and_large_blocks() -> None:
    """X-modaler leaves every rank at the worst value below 100 queries; here a block may be larger than the set."""
    rows = np.eye(3, dtype=np.float32)
    assert first_rank(standings_from_rows(rows, rows, np.arange(3), block=1000)).tolist() == [1, 1, 1]
    assert first_rank(standings_from_rows(rows[:1], rows[:1], np.arange(1))).tolist() == [1]


def test_memory_does_not_grow_with_queries_times_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """clip_benchmark lays out batch x k x candidates on top of all scores; here a block is all there is."""
    monkeypatch.setattr(blocks, "_BLOCK_PAIRS", 1 << 16)
    random = np.random.default_rng(0)
    images = random.standard_normal((1000, 16)).astype(np.float32)
    captions = random.standard_normal((5000, 16)).astype(np.float32)
    relevant = Relevant.from_owner(np.arange(5000) // 5, 1000).turned()
    tracemalloc.start()
    standings_both_ways(images, captions, relevant)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1000 * 5000 * 4 / 3  # a third of the matrix, most of it the small lookups


def test_shared_labels_are_compared_block_by_block() -> None:
    random = np.random.default_rng(0)
    asked, searched = random.random((30, 5)) < 0.3, random.random((50, 5)) < 0.3
    left, right = random.integers(0, 256, (30, 2), dtype=np.uint8), random.integers(0, 256, (50, 2), dtype=np.uint8)
    table = (asked[:, None, :] & searched[None, :, :]).any(axis=2)
    forth, back = standings_both_ways(left, right, SharedLabels(asked, searched), block=7)
    assert same(forth, standings(-hamming_distances(left, right), table))
    assert same(back, standings(-hamming_distances(right, left), table.T.copy()))


def test_many_groups_are_counted_by_sorting() -> None:
    """More than a few groups go another way to the same counts."""
    random = np.random.default_rng(0)
    similarity = random.integers(0, 60, (5, 400)).astype(np.int16)
    wanted = [set(random.choice(400, 200, replace=False).tolist()) for _ in range(5)]
    relevant = Relevant.from_lists([list(one) for one in wanted], 400)
    assert as_lists(standings(similarity, relevant)) == slow(similarity, wanted)


def test_selecting_and_joining() -> None:
    random = np.random.default_rng(0)
    similarity, table = random.integers(0, 3, (6, 9)), random.random((6, 9)) < 0.4
    whole = standings(similarity, table)
    picked = [4, 0, 0, 5]
    assert as_lists(whole.select(np.array(picked))) == [as_lists(whole)[i] for i in picked]
    assert same(join([whole.select(np.arange(2)), whole.select(np.arange(2, 6))]), whole)
    with pytest.raises(MetricError, match="expected one size"):
        join([whole, standings(similarity[:, :5], table[:, :5])])


def test_what_does_not_fit_is_named() -> None:
    rows = np.zeros((4, 3), np.float32)
    with pytest.raises(MetricError, match="NaN"):
        standings(np.full((1, 2), np.nan), np.zeros(1, np.int64))
    with pytest.raises(MetricError, match="made for 4 queries and 5 items"):
        standings(np.zeros((3, 5)), Relevant.from_owner(np.zeros(4, np.int64), 5))
    with pytest.raises(MetricError, match="held 2 queries, expected 4"):
        standings([np.zeros((2, 5))], Relevant.from_owner(np.zeros(4, np.int64), 5))
    with pytest.raises(MetricError, match="both floating or both uint8"):
        standings_from_rows(rows, rows.astype(np.uint8), np.arange(4))
    with pytest.raises(MetricError, match="expected one width"):
        standings_from_rows(rows, np.zeros((4, 2), np.float32), np.arange(4))
    with pytest.raises(MetricError, match="0 queries and 4 items"):
        standings_from_rows(rows[:0], rows, np.arange(0))
    with pytest.raises(MetricError, match="NaN"):
        standings_from_rows(np.full((4, 3), np.nan, np.float32), rows, np.arange(4))
    codes = pack(np.ones((4, 8)))
    with pytest.raises(MetricError, match="block is 0"):
        standings_from_rows(codes, codes, np.arange(4), block=0)
