"""Intervals and tests: enumerated by hand where that is possible, by their long-run behaviour where not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from crossbit.errors import MetricError
from crossbit.metrics import (
    Term,
    bootstrap_interval,
    holm,
    paired_difference,
    sign_flip_test,
    statistic,
)


def term(values: list[float] | np.ndarray, cluster: list[int] | np.ndarray | None = None, weight: float = 1) -> Term:
    array = np.asarray(values, np.float64)
    return Term(array, np.arange(len(array)) if cluster is None else np.asarray(cluster), float(weight))


def test_statistic_is_a_sum_of_weighted_means() -> None:
    assert statistic([term([1, 0, 1, 0], weight=100), term([1, 0], weight=10)]) == 55


def test_sign_flip_by_hand() -> None:
    """Differences 1, 1, 1, -1 (times a quarter): of the 16 choices of signs, 10 reach a sum of at least 2 in size."""
    sums = [abs(sum(signs)) for signs in itertools.product([1, -1], repeat=4)]
    p_value = sign_flip_test([[term([1, 1, 1, 0])]], [[term([0, 0, 0, 1])]])
    assert p_value == sum(s >= 2 for s in sums) / 16 == 10 / 16


def test_captions_of_an_item_flip_together() -> None:
    """Ten captions of one item are one piece of evidence, not ten."""
    ours, baseline = np.ones(20), np.zeros(20)
    apart = sign_flip_test([[term(ours)]], [[term(baseline)]])
    together = sign_flip_test([[term(ours, np.arange(20) // 10)]], [[term(baseline, np.arange(20) // 10)]])
    assert apart < 0.001
    assert together == 2 / 4  # two items: ++ and -- of four choices


def test_random_signs_agree_with_all_signs() -> None:
    random = np.random.default_rng(1)
    values = random.standard_normal(14) + 0.35
    exact = sign_flip_test([[term(values)]], [[term(np.zeros(14))]])
    values = np.append(values, 1e-13)  # one more item: now signs are drawn
    drawn = sign_flip_test([[term(values)]], [[term(np.zeros(15))]], permutations=20_000)
    assert 0.01 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=0.015)


def test_equal_methods_have_p_one_and_a_zero_interval() -> None:
    run = [term([1, 0, 1, 1, 0])]
    found = paired_difference([run], [run])
    assert found.value == 0
    assert found.interval == (0, 0)
    assert found.p_value == 1


def test_p_values_of_alike_methods_are_uniform() -> None:
    random = np.random.default_rng(0)
    p_values = []
    for seed in range(200):
        ours, baseline = random.random((2, 60)) < 0.5
        p_values.append(sign_flip_test([[term(ours)]], [[term(baseline)]], permutations=199, seed=seed))
    assert 0.02 < np.mean(np.array(p_values) <= 0.1) < 0.18


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Items with several captions that agree among themselves: drawing captions alone would be far too sure."""
    random = np.random.default_rng(0)
    covered = {"items": 0, "captions": 0}
    cluster = np.arange(300) // 5
    for seed in range(100):
        chance = np.repeat(random.random(60) < 0.4, 5)
        run = {"items": [term(chance, cluster)], "captions": [term(chance)]}
        for name in covered:
            low, high = bootstrap_interval([run[name]], resamples=300, seed=seed)
            covered[name] += low <= 0.4 <= high
    assert covered["items"] >= 88
    assert covered["captions"] < 75


def test_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(0).random(4000) < 0.3
    low, high = bootstrap_interval([[term(values, weight=100)]], resamples=3000)
    half = 1.96 * 100 * values.std() / np.sqrt(4000)
    assert (low, high) == pytest.approx((100 * values.mean() - half, 100 * values.mean() + half), abs=0.15)


def test_seeds_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    values = random.random(1000) < 0.5
    runs = [[term(np.clip(values + shift, 0, 2))] for shift in (0.0, 0.2, 0.4)]
    one = bootstrap_interval(runs[1:2])
    three = bootstrap_interval(runs)
    assert three.high - three.low > 1.5 * (one.high - one.low)


def test_paired_interval_is_narrower_than_two_apart() -> None:
    random = np.random.default_rng(0)
    hard = random.random(500)
    ours = (hard < 0.52).astype(float)
    baseline = (hard < 0.48).astype(float)
    found = paired_difference([[term(ours, weight=100)]], [[term(baseline, weight=100)]])
    apart = [bootstrap_interval([[term(v, weight=100)]]) for v in (ours, baseline)]
    assert found.value == pytest.approx(100 * (ours.mean() - baseline.mean()))
    assert found.interval.low > 0
    assert found.p_value < 0.01
    assert apart[0].low < apart[1].high  # the single intervals overlap all the same


def test_the_same_seed_gives_the_same_numbers() -> None:
    random = np.random.default_rng(0)
    runs = [[term(random.random(50))] for _ in range(4)]
    assert paired_difference(runs[:2], runs[2:], seed=3) == paired_difference(runs[:2], runs[2:], seed=3)
    assert paired_difference(runs[:2], runs[2:], seed=3) != paired_difference(runs[:2], runs[2:], seed=4)


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, made to rise: .04 .06 .06 .06
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1, 1])


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(MetricError, match="different queries"):
        paired_difference([[term([1, 0, 1])]], [[term([1, 0, 1, 1])]])
    with pytest.raises(MetricError, match="different queries"):
        paired_difference([[term([1, 0], [0, 1])]], [[term([1, 0], [1, 0])]])
    with pytest.raises(MetricError, match="one item"):
        bootstrap_interval([[term([1, 0], [0, 0])]])
    with pytest.raises(MetricError, match="without values"):
        bootstrap_interval([[term([])]])
