"""Measures of the hashing protocol: by hand, and against loops over bits and lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import hamming_distances, pack
from crossbit.errors import MetricError
from crossbit.metrics import (
    Relevant,
    average_precision,
    balls,
    hashing,
    mean_average_precision,
    precision_of_first_hits,
    precision_recall_curve,
    precision_within_radius,
    standings,
    standings_from_rows,
)
from crossbit.metrics.retrieval import hypergeometric
from metrics import enumerated_orders as slow

# eight-bit codes at distances 0, 1, 1, 2, 3 and 8 from the query 00000000
QUERY = np.array([[0b00000000]], np.uint8)
GALLERY = np.array([[0b00000000], [0b00000001], [0b10000000], [0b00000011], [0b00000111], [0b11111111]], np.uint8)
RELEVANT = Relevant.from_lists([[0, 2, 5]], 6)


def test_map_by_hand_with_a_tie() -> None:
    found = standings_from_rows(QUERY, GALLERY, RELEVANT)
    assert (found.ahead.tolist(), found.tied.tolist(), found.relevant.tolist()) == ([0, 1, 5], [1, 2, 1], [1, 1, 1])
    # the second relevant item shares distance 1 with another: rank 2 or 3, precision 2/2 or 2/3
    expected = (1 + (2 / 2 + 2 / 3) / 2 + 3 / 6) / 3
    assert mean_average_precision(found) == pytest.approx(expected)
    assert mean_average_precision(found, ties="optimistic") == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert mean_average_precision(found, ties="pessimistic") == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    # cut at 2: the tied relevant item is inside in one order of two, at rank 2
    assert mean_average_precision(found, cut=2) == pytest.approx((1 + 1 / 2) / 2)
    assert mean_average_precision(found, cut=2, over="retrieved") == pytest.approx(((1 + 1) / 2 + 1) / 2)


def test_radius_by_hand() -> None:
    counts = balls(QUERY, GALLERY, RELEVANT)
    assert counts.retrieved.tolist() == [[1, 3, 4, 5, 5, 5, 5, 5, 6]]
    assert counts.relevant.tolist() == [[1, 2, 2, 2, 2, 2, 2, 2, 3]]
    values, empty = precision_within_radius(counts, 2)
    assert values.tolist() == [0.5]
    assert empty.tolist() == [False]
    curve = precision_recall_curve(counts)
    assert curve.precision.tolist() == pytest.approx([1, 2 / 3, 1 / 2, 2 / 5, 2 / 5, 2 / 5, 2 / 5, 2 / 5, 1 / 2])
    assert curve.recall.tolist() == pytest.approx([1 / 3] + 7 * [2 / 3] + [1])


def test_empty_balls_count_as_zero_and_are_counted() -> None:
    queries = np.array([[0b00000000], [0b11110000]], np.uint8)
    gallery = np.array([[0b00000000], [0b00000001]], np.uint8)
    counts = balls(queries, gallery, np.array([0, 1]), radius=2)
    values, empty = precision_within_radius(counts, 2)
    assert values.tolist() == [0.5, 0]
    assert empty.tolist() == [False, True]
    curve = precision_recall_curve(counts)
    assert curve.empty.tolist() == [1, 1, 1]
    assert curve.precision.tolist() == [0.5, 0.25, 0.25]
    assert counts.totals.tolist() == [1, 1]  # relevant items beyond the last radius are still relevant


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(0, 20))
def test_balls_agree_with_the_distance_matrix(seed: int, bits: int, radius: int) -> None:
    random = np.random.default_rng(seed)
    queries, items = pack(random.standard_normal((7, bits))), pack(random.standard_normal((30, bits)))
    table = random.random((7, 30)) < 0.3
    counts = balls(queries, items, table, bits=bits, radius=radius)
    distances = hamming_distances(queries, items)
    for r in range(min(radius, bits) + 1):
        np.testing.assert_array_equal(counts.retrieved[:, r], (distances <= r).sum(axis=1))
        np.testing.assert_array_equal(counts.relevant[:, r], ((distances <= r) & table).sum(axis=1))
    np.testing.assert_array_equal(counts.totals, table.sum(axis=1))


def test_blocks_do_not_change_the_balls(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    queries, items = random.integers(0, 256, (20, 2), dtype=np.uint8), random.integers(0, 256, (50, 2), dtype=np.uint8)
    table = random.random((20, 50)) < 0.1
    whole = balls(queries, items, table)
    monkeypatch.setattr(hashing, "_BLOCK_PAIRS", 150)
    parts = balls(queries, items, table)
    np.testing.assert_array_equal(whole.retrieved, parts.retrieved)
    np.testing.assert_array_equal(whole.relevant, parts.relevant)


def test_queries_without_relevant_items_are_the_protocols_choice() -> None:
    similarity = np.array([[2.0, 1], [2, 1], [2, 1]])
    found = standings(similarity, Relevant.from_lists([[0], [], [1]], 2))
    with pytest.raises(MetricError, match="1 of 3 queries"):
        mean_average_precision(found)
    assert mean_average_precision(found, without_relevant="drop") == pytest.approx((1 + 1 / 2) / 2)
    assert mean_average_precision(found, without_relevant="zero") == pytest.approx((1 + 1 / 2) / 3)
    nobody = standings(similarity, Relevant.from_lists([[], [], []], 2))
    with pytest.raises(MetricError, match="nothing to average"):
        mean_average_precision(nobody, without_relevant="drop")


def test_order_inside_a_bucket_does_not_swing_the_value() -> None:
    """Toolboxes sort integer distances with an unstable order, so their value depends on the order of the gallery."""
    random = np.random.default_rng(0)
    queries, items = random.integers(0, 4, (9, 1), dtype=np.uint8), random.integers(0, 4, (60, 1), dtype=np.uint8)
    table = random.random((9, 60)) < 0.3
    order = random.permutation(60)
    published = []
    for columns in (np.arange(60), order):
        distances = hamming_distances(queries, items[columns])
        sorted_ = np.take_along_axis(table[:, columns], np.argsort(distances, axis=1, kind="stable"), axis=1)
        published.append(np.mean([slow.average_precision(10, "relevant")(row.tolist()) for row in sorted_]))
    assert abs(published[0] - published[1]) > 0.01
    ours = [
        mean_average_precision(standings_from_rows(queries, items[c], table[:, c].copy()), cut=10)
        for c in (np.arange(60), order)
    ]
    assert ours[0] == pytest.approx(ours[1], abs=1e-12)


def test_shuffling_many_times_comes_to_the_expectation() -> None:
    """One large group, cut in the middle, over what was found: the divisor is random as well."""
    random = np.random.default_rng(0)
    relevant = np.zeros(60, bool)
    relevant[[1, 20, 30, 40, 50]] = True
    similarity = np.zeros(60)
    similarity[:10] = 1
    found = standings(similarity[None], relevant[None])
    shuffled = [
        np.concatenate([random.permutation(relevant[:10]), random.permutation(relevant[10:])]).tolist()
        for _ in range(20_000)
    ]
    for measure, value in (
        (slow.average_precision(30, "retrieved"), average_precision(found, cut=30, over="retrieved")),
        (slow.average_precision(30, "relevant"), average_precision(found, cut=30)),
        (slow.first_hits(3), precision_of_first_hits(found, 3)),
    ):
        samples = np.array([measure(order) for order in shuffled])
        assert value[0] == pytest.approx(samples.mean(), abs=4 * samples.std() / np.sqrt(len(samples)))


def test_hypergeometric_by_hand() -> None:
    # 2 of 5 marked, 3 drawn: C(2,h) C(3,3-h) / C(5,3) = 1/10, 6/10, 3/10
    count, probability = hypergeometric(5, 2, 3)
    assert count.tolist() == [0, 1, 2]
    assert probability.tolist() == pytest.approx([0.1, 0.6, 0.3])


def test_what_does_not_fit_is_named() -> None:
    counts = balls(QUERY, GALLERY, RELEVANT, radius=1)
    with pytest.raises(MetricError, match="counts go from 0 to 1"):
        precision_within_radius(counts, 2)
    with pytest.raises(MetricError, match="hits is 0"):
        precision_of_first_hits(standings_from_rows(QUERY, GALLERY, RELEVANT), 0)
    with pytest.raises(MetricError, match="1 of 1 queries have no relevant"):
        precision_recall_curve(balls(QUERY, GALLERY, Relevant.from_lists([[]], 6)))
