"""How sure a number is: bootstrap intervals over items, paired sign-flip tests, Holm's correction. All seeded.

Captions of one image are not independent, so what is drawn and what is flipped is the item with everything that belongs to
it, in both directions together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int64, Shaped

from crossbit.errors import MetricError

_DRAWS_AT_ONCE = 256
_ENUMERATED = 14  # with so few clusters every choice of signs is tried


@dataclass(frozen=True)
class Term:
    """One mean of a statistic: per-query values, which item each query belongs to, and the mean's weight.

    A statistic is a sum of weighted means: R@1 is one term, rsum six of weight 100.
    """

    values: Float[np.ndarray, " Q"]
    cluster: Int64[np.ndarray, " Q"]
    weight: float = 1.0


Run = Sequence[Term]
"""What one seed's run gave, as the terms of one statistic."""


class Interval(NamedTuple):
    """The two ends of a confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """Ours minus the baseline, with its interval and the probability of as much by chance."""

    value: float
    interval: Interval
    p_value: float


def statistic(run: Run) -> float:
    """Give the sum of the weighted means."""
    return float(sum(term.weight * term.values.mean() for term in run))


def bootstrap_interval(runs: Sequence[Run], *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Give the percentile interval of a statistic, averaged over seeds.

    Items are drawn with replacement, each with all its queries; where there are several seeds they are drawn too. Three
    seeds say little about how much seeds differ, so an interval from one seed is about the items only.

    Raises:
        MetricError: there is no run, or fewer than two items.
    """
    draws = _draw(runs, _item_draws(runs, resamples, seed), np.random.default_rng((seed, 1)))
    return _percentiles(draws, level)


def paired_difference(
    ours: Sequence[Run],
    baseline: Sequence[Run],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
) -> Difference:
    """Compare two methods on the same queries: difference, bootstrap interval, sign-flip test.

    The same items are drawn for both; their seeds are drawn apart, because seed 1 of one method is no partner of seed 1 of
    the other.

    Raises:
        MetricError: the queries or items of the two differ.
    """
    _check_paired(ours, baseline)
    items = _item_draws(ours, resamples, seed)
    mine = _draw(ours, items, np.random.default_rng((seed, 1)))
    theirs = _draw(baseline, items, np.random.default_rng((seed, 2)))
    value = float(np.mean([statistic(run) for run in ours]) - np.mean([statistic(run) for run in baseline]))
    p_value = sign_flip_test(ours, baseline, permutations=permutations, seed=seed)
    return Difference(value, _percentiles(mine - theirs, level), p_value)


def sign_flip_test(ours: Sequence[Run], baseline: Sequence[Run], *, permutations: int = 9999, seed: int = 0) -> float:
    """Give the two-sided p-value of a paired test: were the methods alike, each item's difference could as well be turned.

    Values are averaged over seeds first. With 14 items or fewer every choice of signs is tried, else `permutations` random
    ones, and the real one is counted with them, so p is never zero.

    Raises:
        MetricError: the queries or items of the two differ.
    """
    _check_paired(ours, baseline)
    count = _clusters(ours)
    shares = np.mean([_shares(run, count) for run in ours], axis=0) - np.mean(
        [_shares(run, count) for run in baseline], axis=0
    )
    shares = shares[shares != 0]  # an item without a difference has nothing to flip
    if not len(shares):
        return 1.0
    needed = abs(shares.sum()) * (1 - 1e-9)  # so that rounding does not separate equal sums
    if len(shares) <= _ENUMERATED:
        signs = 1 - 2 * ((np.arange(1 << len(shares))[:, None] >> np.arange(len(shares))) & 1)
        return float(np.mean(np.abs(signs @ shares) >= needed))
    random = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, permutations, _DRAWS_AT_ONCE):
        rows = min(_DRAWS_AT_ONCE, permutations - start)
        flips = random.integers(0, 2, (rows, len(shares)), dtype=np.int8).astype(np.float64) * 2 - 1
        extreme += int(np.count_nonzero(np.abs(flips @ shares) >= needed))
    return (extreme + 1) / (permutations + 1)


def bootstrap_p_value(
    runs: Sequence[Run], number: float, *, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Difference:
    """Compare a method with a number that has no per-query values, such as one from a table.

    The p-value is twice the share of resamples on the other side of the number. It knows nothing of how sure the number
    itself is, so a paired comparison is worth more where it can be had.

    Raises:
        MetricError: there is no run, or fewer than two items.
    """
    draws = _draw(runs, _item_draws(runs, resamples, seed), np.random.default_rng((seed, 1))) - number
    value = float(np.mean([statistic(run) for run in runs])) - number
    beyond = np.count_nonzero(draws <= 0 if value > 0 else draws >= 0)
    return Difference(value, _percentiles(draws, level), float(min(1.0, 2 * (beyond + 1) / (len(draws) + 1))))


def holm(p_values: Sequence[float] | Float[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    """Correct the p-values of a family of tests, so that one wrong "yes" in the whole family stays as rare as stated.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * (len(values) - np.arange(len(values))))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def _clusters(runs: Sequence[Run]) -> int:
    if not runs or not all(len(run) and all(len(term.values) for term in run) for run in runs):
        raise MetricError("significance: a run without values, expected at least one value in every term")
    count = 1 + max(int(term.cluster.max()) for run in runs for term in run)
    if count < 2:
        raise MetricError("significance: all queries belong to one item, expected two or more")
    return count


def _item_draws(runs: Sequence[Run], resamples: int, seed: int) -> Int[np.ndarray, "R C"]:
    """Say how often each item is drawn in each resample."""
    count = _clusters(runs)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    small: np.ndarray = draws.astype(np.int16 if count < 30_000 else np.int64)
    return small


def _draw(
    runs: Sequence[Run], draws: Shaped[np.ndarray, "R C"], random: np.random.Generator
) -> Float64[np.ndarray, " R"]:
    """Give the statistic of every resample: the mean over as many drawn runs as there are."""
    values = np.stack([_resampled(run, draws) for run in runs], axis=1)  # (R, S)
    if len(runs) > 1:
        picks = random.integers(0, len(runs), values.shape)
        values = np.take_along_axis(values, picks, axis=1)
    means: np.ndarray = values.mean(axis=1)
    return means


def _resampled(run: Run, draws: Shaped[np.ndarray, "R C"]) -> Float64[np.ndarray, " R"]:
    total = np.zeros(len(draws))
    for term in run:
        sums = np.bincount(term.cluster, weights=term.values, minlength=draws.shape[1])
        counts = np.bincount(term.cluster, minlength=draws.shape[1]).astype(np.float64)
        for start in range(0, len(draws), _DRAWS_AT_ONCE):
            part = draws[start : start + _DRAWS_AT_ONCE].astype(np.float64)
            queries = part @ counts
            # a resample without a query of this term has no mean; it is left out of the percentiles
            mean = np.divide(part @ sums, queries, out=np.full(len(part), np.nan), where=queries > 0)
            total[start : start + _DRAWS_AT_ONCE] += term.weight * mean
    return total


def _shares(run: Run, count: int) -> Float64[np.ndarray, " C"]:
    """Give what each item adds to the statistic; the sum is the statistic."""
    parts = [
        np.bincount(term.cluster, weights=term.values, minlength=count) * term.weight / len(term.values) for term in run
    ]
    shares: np.ndarray = np.sum(parts, axis=0)
    return shares


def _check_paired(ours: Sequence[Run], baseline: Sequence[Run]) -> None:
    _clusters(ours)
    _clusters(baseline)
    first = ours[0]
    for run in (*ours, *baseline):
        if len(run) != len(first) or not all(
            np.array_equal(a.cluster, b.cluster) for a, b in zip(run, first, strict=True)
        ):
            raise MetricError(
                "paired comparison: the two methods answered different queries",
                "evaluate both on the same data, split, languages and protocol",
            )


def _percentiles(draws: Float64[np.ndarray, " R"], level: float) -> Interval:
    low, high = np.nanpercentile(draws, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high))
