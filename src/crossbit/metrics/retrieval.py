"""Measures of retrieval, one value a query, from standings.

Every measure is the exact expectation over the orders that ties allow; `ties="optimistic"` and `"pessimistic"` give its bounds.
Values lie between 0 and 1, ranks start at 1. A query without a relevant item has no value, so it raises a MetricError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped

from crossbit.errors import MetricError
from crossbit.metrics.standings import Standings, Ties

Over = Literal["relevant", "retrieved"]


def recall_at_k(standings: Standings, k: int, *, ties: Ties = "expected") -> Float64[np.ndarray, " Q"]:
    """Give per query the probability that a relevant item is among the first k.

    Zero or one without ties. The R@K of image-text papers. Information retrieval calls it Success@k or hit rate and keeps
    "recall" for the share of all relevant items: see `relevant_recall_at_k`.

    Raises:
        MetricError: k is below 1, or a query has no relevant item.
    Source: hypergeometric, 1 - C(t - r, k - a) / C(t, k - a) for the best group of t items, r relevant, a ahead.
    """
    best = _first_group(standings.resolved(ties))
    drawn = np.clip(_positive(k) - best.ahead, 0, best.tied)
    # C(t - r, c) / C(t, c) as a product with the smaller of r and c factors, exact to rounding for any size
    few, many = np.minimum(best.relevant, drawn), np.maximum(best.relevant, drawn)
    missed = np.ones(len(standings))
    for place in range(int(few.max(initial=0))):
        open_ = few > place
        rest = np.maximum(best.tied - many - place, 0)[open_]
        missed[open_] *= rest / (best.tied - place)[open_]
    found: np.ndarray = 1 - missed
    return found


def relevant_recall_at_k(standings: Standings, k: int, *, ties: Ties = "expected") -> Float64[np.ndarray, " Q"]:
    """Give per query the share of its relevant items that are among the first k: recall as information retrieval has it.

    With five captions an image it cannot exceed k / 5; it is not the R@K of image-text papers (`recall_at_k`).

    Raises:
        MetricError: k is below 1, or a query has no relevant item.
    """
    standings.require_relevant()
    found = _relevant_in_first(standings.resolved(ties), np.full(len(standings), _positive(k)))
    shares: np.ndarray = found / standings.totals
    return shares


def precision_at_n(standings: Standings, n: int, *, ties: Ties = "expected") -> Float64[np.ndarray, " Q"]:
    """Give per query the share of the first n places that hold relevant items; places beyond the gallery count as not.

    Raises:
        MetricError: n is below 1, or a query has no relevant item.
    """
    standings.require_relevant()
    shares: np.ndarray = _relevant_in_first(standings.resolved(ties), np.full(len(standings), _positive(n))) / n
    return shares


def r_precision(standings: Standings, *, ties: Ties = "expected") -> Float64[np.ndarray, " Q"]:
    """Give per query the precision among its first R places, R being the number of its relevant items.

    Raises:
        MetricError: a query has no relevant item.
    """
    standings.require_relevant()
    shares: np.ndarray = _relevant_in_first(standings.resolved(ties), standings.totals) / standings.totals
    return shares


def first_rank(standings: Standings, *, ties: Ties = "expected") -> Float64[np.ndarray, " Q"]:
    """Give per query the rank of its best relevant item, from 1; a half or third where ties leave it open.

    Raises:
        MetricError: a query has no relevant item.
    Source: the first of r marked among t shuffled places stands at (t + 1) / (r + 1) on average.
    """
    best = _first_group(standings.resolved(ties))
    ranks: np.ndarray = best.ahead + (best.tied + 1) / (best.relevant + 1)
    return ranks


def median_rank(standings: Standings, *, ties: Ties = "expected") -> float:
    """Give the median of the first ranks: MedR. Published scripts round an even count's half down, this does not."""
    return float(np.median(first_rank(standings, ties=ties)))


def mean_rank(standings: Standings, *, ties: Ties = "expected") -> float:
    """Give the mean of the first ranks: MeanR."""
    return float(np.mean(first_rank(standings, ties=ties)))


def rsum(forth: Standings, back: Standings, *, cuts: Sequence[int] = (1, 5, 10), ties: Ties = "expected") -> float:
    """Give the sum of R@1, R@5 and R@10 of both directions in percent, 600 at most."""
    return 100 * float(sum(np.mean(recall_at_k(side, k, ties=ties)) for side in (forth, back) for k in cuts))


def map_at_r(standings: Standings, *, ties: Ties = "expected") -> Float64[np.ndarray, " Q"]:
    """Give per query the average precision cut at R, over R, R being the number of its relevant items: mAP@R.

    Raises:
        MetricError: a query has no relevant item.
    Source: Musgrave et al., A Metric Learning Reality Check, 2020, equation 3; used by ECCV Caption.
    """
    return average_precision(standings, cut=standings.totals, ties=ties)


def average_precision(
    standings: Standings,
    *,
    cut: int | Int64[np.ndarray, " Q"] | None = None,
    over: Over = "relevant",
    ties: Ties = "expected",
) -> Float64[np.ndarray, " Q"]:
    """Give per query the sum of the precisions at its relevant items, over a divisor that has to be named.

    Args:
        standings: from `standings` or `standings_from_rows`.
        cut: only the first `cut` places count; one number, or one a query. None is the whole gallery.
        over: what the sum is divided by: "relevant" is min(cut, relevant items), as in information retrieval;
            "retrieved" is the relevant items found within the cut, as in DeepHash's scripts (0 where none is found).
            Without a cut both are the same.
        ties: which orders of equal items to take.

    Raises:
        MetricError: the cut is below 1, or a query has no relevant item.
    Source: expectation under ties after McSherry and Najork, Computing Information Retrieval Performance Measures
        Efficiently in the Presence of Tied Scores, 2008.
    """
    if over not in get_args(Over):
        raise MetricError(f"average_precision: over {over!r}, expected one of {list(get_args(Over))}")
    standings.require_relevant()
    cuts = np.full(len(standings), standings.gallery) if cut is None else np.broadcast_to(cut, len(standings))
    if len(cuts) and cuts.min() < 1:
        raise MetricError(f"average_precision: cut is {cuts.min()}, expected 1 or more")
    groups = standings.resolved(ties)
    reach = np.clip(cuts[groups.query_of] - groups.ahead, 0, groups.tied)
    sums = precision_sums(groups.ahead, groups.relevant_ahead, groups.tied, groups.relevant, reach)
    if over == "relevant":
        averages: np.ndarray = groups.sum_groups(sums) / np.minimum(cuts, standings.totals)
        return averages
    whole = reach == groups.tied
    total = groups.sum_groups(np.where(whole, sums, 0))
    found = groups.sum_groups(np.where(whole, groups.relevant, 0))
    values: np.ndarray = np.divide(total, found, out=np.zeros(len(standings)), where=found > 0)
    for group in np.flatnonzero((reach > 0) & ~whole):
        query = groups.query_of[group]
        values[query] = _mean_over_found(groups, int(group), int(reach[group]), total[query])
    return values


def precision_sums(
    ahead: Int64[np.ndarray, " G"],
    relevant_ahead: Int64[np.ndarray, " G"],
    tied: Int64[np.ndarray, " G"],
    relevant: Int64[np.ndarray, " G"],
    reach: Int64[np.ndarray, " G"],
) -> Float64[np.ndarray, " G"]:
    """Give the expected sum of precisions at the relevant items in the first `reach` places of each shuffled group.

    Place p holds a relevant item with probability r / t, and then (p - 1)(r - 1) / (t - 1) of the group's others stand
    before it on average, so its precision is linear in p over a + p, and the sum is a difference of harmonic numbers.
    """
    others = np.divide(relevant - 1, tied - 1, out=np.zeros(len(tied)), where=tied > 1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int((ahead + reach).max(initial=0)) + 1))])
    # one place needs no difference of large numbers: most groups are single items, and they come out exact
    inverse = np.where(reach == 1, 1 / (ahead + 1), harmonic[ahead + reach] - harmonic[ahead])
    sums = (relevant_ahead + 1 - others * (ahead + 1)) * inverse + others * reach
    single = (relevant_ahead + 1) / (ahead + 1)
    expected: np.ndarray = np.where(reach == 1, single, sums) * relevant / tied
    return expected


def hypergeometric(total: int, marked: int, drawn: int) -> tuple[Int64[np.ndarray, " H"], Float64[np.ndarray, " H"]]:
    """Give how many of `marked` among `total` can be in `drawn`, and how probable each number is."""
    from scipy.special import gammaln  # late: only open ties at a cut need it

    def log_choose(n: Shaped[np.ndarray, " H"] | int, k: Shaped[np.ndarray, " H"] | int) -> Float[np.ndarray, " H"]:
        one = np.float64(1)
        chosen: np.ndarray = gammaln(n + one) - gammaln(k + one) - gammaln(np.subtract(n, k) + one)
        return chosen

    count = np.arange(max(0, drawn - (total - marked)), min(marked, drawn) + 1)
    logs = log_choose(marked, count) + log_choose(total - marked, drawn - count)
    weights = np.exp(logs - logs.max())
    return count, weights / weights.sum()


def _mean_over_found(groups: Standings, group: int, reach: int, before: float) -> float:
    """Average (sum of precisions) / (items found) where the cut goes through a group: the divisor is random too."""
    tied, relevant = int(groups.tied[group]), int(groups.relevant[group])
    ahead, relevant_ahead = int(groups.ahead[group]), int(groups.relevant_ahead[group])
    found, probability = hypergeometric(tied, relevant, reach)

    def same(value: int) -> Int64[np.ndarray, " H"]:
        return np.full(len(found), value, np.int64)

    sums = precision_sums(same(ahead), same(relevant_ahead), same(reach), found, same(reach))
    divisor = relevant_ahead + found
    means = np.divide(before + sums, divisor, out=np.zeros(len(found)), where=divisor > 0)
    return float(means @ probability)


def _first_group(standings: Standings) -> Standings:
    """Keep the best group of each query."""
    best = standings.first
    arrays = (standings.ahead[best], standings.tied[best], standings.relevant[best], standings.relevant_ahead[best])
    return Standings(np.arange(len(best) + 1), *arrays, standings.gallery)


def _relevant_in_first(groups: Standings, cuts: Int64[np.ndarray, " Q"]) -> Float64[np.ndarray, " Q"]:
    """Give the expected number of relevant items in the first places of each query."""
    reach = np.clip(cuts[groups.query_of] - groups.ahead, 0, groups.tied)
    expected: np.ndarray = groups.sum_groups(groups.relevant * reach / groups.tied)
    return expected


def _positive(k: int) -> int:
    if k < 1:
        raise MetricError(f"cut-off is {k}, expected 1 or more")
    return k
