"""Measures of retrieval: numbers by hand, and every order of ties enumerated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.errors import MetricError
from crossbit.metrics import (
    Relevant,
    Standings,
    average_precision,
    first_rank,
    map_at_r,
    mean_rank,
    median_rank,
    precision_at_n,
    precision_of_first_hits,
    r_precision,
    recall_at_k,
    relevant_recall_at_k,
    rsum,
    standings,
)
from metrics import enumerated_orders as slow


def one(similarity: list[float], relevant: list[int]) -> Standings:
    return standings(np.array([similarity]), Relevant.from_lists([relevant], len(similarity)))


# ten items without ties; the relevant ones stand at ranks 1, 3 and 10
RANKS_1_3_10 = one([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], [0, 2, 9])


def test_three_measures_go_by_the_name_of_map_at_3() -> None:
    """The example of the peers' defects: three toolboxes, three numbers for one list."""
    # DeepHash-pytorch: cut at 3, over what was found within it: (1/1 + 2/3) / 2
    assert average_precision(RANKS_1_3_10, cut=3, over="retrieved")[0] == pytest.approx(0.833, abs=5e-4)
    # torchcmh: the first three relevant items wherever they stand: (1/1 + 2/3 + 3/10) / 3
    assert precision_of_first_hits(RANKS_1_3_10, 3)[0] == pytest.approx(0.656, abs=5e-4)
    # information retrieval: cut at 3, over min(3, relevant): (1/1 + 2/3) / 3
    assert average_precision(RANKS_1_3_10, cut=3)[0] == pytest.approx(0.556, abs=5e-4)


def test_numbers_by_hand_without_ties() -> None:
    assert average_precision(RANKS_1_3_10)[0] == pytest.approx((1 + 2 / 3 + 3 / 10) / 3)
    assert average_precision(RANKS_1_3_10, over="retrieved")[0] == pytest.approx((1 + 2 / 3 + 3 / 10) / 3)
    assert map_at_r(RANKS_1_3_10)[0] == pytest.approx((1 + 2 / 3) / 3)
    assert r_precision(RANKS_1_3_10)[0] == pytest.approx(2 / 3)
    assert [recall_at_k(RANKS_1_3_10, k)[0] for k in (1, 5, 10)] == [1, 1, 1]
    assert [relevant_recall_at_k(RANKS_1_3_10, k)[0] for k in (1, 5, 10)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert precision_at_n(RANKS_1_3_10, 5)[0] == pytest.approx(2 / 5)
    assert first_rank(RANKS_1_3_10)[0] == 1


def test_both_recalls_differ_five_times_at_one() -> None:
    """One of five captions found first: R@1 of the papers is 1, recall is a fifth (MTEB's recall_at_1)."""
    found = one([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [0, 5, 6, 7, 8])
    assert recall_at_k(found, 1)[0] == 1
    assert relevant_recall_at_k(found, 1)[0] == pytest.approx(0.2)


def test_one_relevant_item_among_ties() -> None:
    """Two items ahead, four tied, one of them relevant: it stands at 3, 4, 5 or 6."""
    tied = one([9, 8, 5, 5, 5, 5, 1], [4])
    assert [recall_at_k(tied, k)[0] for k in range(1, 8)] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert [recall_at_k(tied, k, ties="optimistic")[0] for k in (2, 3, 6)] == [0, 1, 1]
    assert [recall_at_k(tied, k, ties="pessimistic")[0] for k in (2, 5, 6)] == [0, 0, 1]
    assert first_rank(tied)[0] == 4.5
    assert first_rank(tied, ties="optimistic")[0] == 3
    assert first_rank(tied, ties="pessimistic")[0] == 6
    assert average_precision(tied)[0] == pytest.approx((1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4)


def test_equal_scores_do_not_add_phantom_queries() -> None:
    """CLIP4Clip finds the places equal to the diagonal, so ties lengthen its list of ranks; here a query has one value."""
    similarity = np.array([[1.0, 1, 0], [0, 1, 1], [1, 1, 1]])
    found = standings(similarity, np.arange(3))
    published = np.where(np.sort(-similarity, axis=1) - (-np.diag(similarity))[:, None] == 0)[1]
    assert len(published) == 7  # for three queries
    assert first_rank(found).tolist() == [1.5, 1.5, 2]
    assert recall_at_k(found, 1) == pytest.approx([1 / 2, 1 / 2, 1 / 3])


def test_collapsed_model_scores_like_chance() -> None:
    """All similarities equal: R@K is K / N and nothing depends on the order of the items."""
    found = standings(np.zeros((50, 50)), np.arange(50))
    assert [recall_at_k(found, k).mean() for k in (1, 5, 10)] == pytest.approx([0.02, 0.1, 0.2])
    assert median_rank(found) == mean_rank(found) == 25.5


def test_rsum_is_in_percent_over_both_directions() -> None:
    similarity = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3]])
    forth = standings(similarity, np.arange(3))
    back = standings(similarity.T, np.arange(3))
    # forth: ranks 1, 2, 1; back: column 0 ties rows 0 and 1 (1.5), column 1 ties all three, column 2 is first
    expected = 100 * (2 / 3 + 1 + 1) + 100 * ((1 / 2 + 1 / 3 + 1) / 3 + 1 + 1)
    assert rsum(forth, back) == pytest.approx(expected)


@pytest.mark.parametrize("captions", [[1], [3, 1, 7], [5, 5, 5, 5], [0, 2, 6, 1]])
def test_any_number_of_captions_an_image(captions: list[int]) -> None:
    """Published scripts step through images in fives; here every image has its own number of captions."""
    owner = np.repeat(np.arange(len(captions)), captions)
    similarity = np.random.default_rng(len(owner)).standard_normal((len(captions), len(owner)))
    relevant = Relevant.from_owner(owner, len(captions)).turned()
    found = standings(similarity, relevant).answerable()
    for query, image in zip(range(len(found)), np.flatnonzero(captions), strict=True):
        better = [np.sum(similarity[image] > similarity[image, c]) for c in np.flatnonzero(owner == image)]
        assert first_rank(found)[query] == 1 + min(better)


@st.composite
def small_problem(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 7))
    similarity = np.array(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.float64)
    flags = draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    return similarity, np.array(flags)


@settings(max_examples=60, deadline=None)
@given(small_problem(), st.integers(1, 8))
def test_measures_are_exact_over_all_orders(problem: tuple[np.ndarray, np.ndarray], k: int) -> None:
    similarity, relevant = problem
    found = standings(similarity[None], relevant[None])
    measures = [
        (lambda ties: recall_at_k(found, k, ties=ties), slow.hit(k), False),
        (lambda ties: relevant_recall_at_k(found, k, ties=ties), slow.recall(k), False),
        (lambda ties: precision_at_n(found, k, ties=ties), slow.precision(k), False),
        (lambda ties: r_precision(found, ties=ties), slow.r_precision, False),
        (lambda ties: first_rank(found, ties=ties), slow.rank_of_first, True),
        (lambda ties: map_at_r(found, ties=ties), slow.map_at_r, False),
        (lambda ties: average_precision(found, ties=ties), slow.average_precision(None, "relevant"), False),
        (lambda ties: average_precision(found, cut=k, ties=ties), slow.average_precision(k, "relevant"), False),
    ]
    for ours, twin, lower_is_better in measures:
        assert ours("expected")[0] == pytest.approx(slow.expected(similarity, relevant, twin), abs=1e-12)
        bounds = [slow.best(similarity, relevant, twin), slow.worst(similarity, relevant, twin)]
        bounds = bounds[::-1] if lower_is_better else bounds
        assert ours("optimistic")[0] == pytest.approx(bounds[0], abs=1e-12)
        assert ours("pessimistic")[0] == pytest.approx(bounds[1], abs=1e-12)
    # over what was found, an order with more hits can have the lower average: only the expectation is compared
    twin = slow.average_precision(k, "retrieved")
    value = average_precision(found, cut=k, over="retrieved")[0]
    assert value == pytest.approx(slow.expected(similarity, relevant, twin), abs=1e-12)
    value = precision_of_first_hits(found, k)[0]
    assert value == pytest.approx(slow.expected(similarity, relevant, slow.first_hits(k)), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(small_problem(), st.integers(0, 2**16))
def test_order_of_the_gallery_does_not_matter(problem: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    similarity, relevant = problem
    order = np.random.default_rng(seed).permutation(len(similarity))
    a, b = standings(similarity[None], relevant[None]), standings(similarity[order][None], relevant[order][None])
    np.testing.assert_array_equal(average_precision(a), average_precision(b))
    np.testing.assert_array_equal(first_rank(a), first_rank(b))


def test_large_tie_groups_stay_exact() -> None:
    """Closed form against the plain sum over the places of one big group."""
    gallery, tied, relevant, ahead = 100_000, 60_000, 700, 30_000
    similarity = np.zeros(gallery)
    similarity[:ahead] = 2
    similarity[ahead : ahead + tied] = 1
    found = one(similarity.tolist(), list(range(ahead, ahead + relevant)))
    place = np.arange(1, tied + 1)
    precision = (1 + (place - 1) * (relevant - 1) / (tied - 1)) / (ahead + place)
    assert average_precision(found)[0] == pytest.approx(precision.mean(), rel=1e-9)


def test_queries_without_a_relevant_item_are_refused() -> None:
    """One toolbox counts them as zero, another gives NaN; here the protocol has to say."""
    found = standings(np.zeros((3, 2)), Relevant.from_lists([[0], [], [1]], 2))
    for measure in (first_rank, map_at_r, average_precision, r_precision):
        with pytest.raises(MetricError, match="1 of 3 queries have no relevant item, first query 1"):
            measure(found)
    with pytest.raises(MetricError, match="no relevant item"):
        recall_at_k(found, 1)
    assert len(recall_at_k(found.answerable(), 1)) == 2


def test_cut_offs_start_at_one() -> None:
    with pytest.raises(MetricError, match="cut-off is 0"):
        recall_at_k(RANKS_1_3_10, 0)
    with pytest.raises(MetricError, match="cut is 0"):
        average_precision(RANKS_1_3_10, cut=0)
