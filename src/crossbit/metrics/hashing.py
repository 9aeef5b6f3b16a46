"""Measures of the hashing protocol: mean average precision with its divisor named, and what lies within Hamming radii."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from crossbit.codes.hamming import hamming_block, words
from crossbit.codes.packing import check_width
from crossbit.errors import MetricError
from crossbit.metrics.relevance import as_relevance
from crossbit.metrics.retrieval import Over, average_precision, hypergeometric, precision_sums
from crossbit.metrics.standings import Standings, Ties

WithoutRelevant = Literal["raise", "drop", "zero"]
"""What to do with queries that have no relevant item: refuse, leave out, or count as zero."""

_BLOCK_PAIRS = 1 << 22


def mean_average_precision(
    standings: Standings,
    *,
    cut: int | None = None,
    over: Over = "relevant",
    ties: Ties = "expected",
    without_relevant: WithoutRelevant = "raise",
) -> float:
    """Give the mean of `average_precision`: MAP (all) without a cut, MAP@cut with one.

    Raises:
        MetricError: a query has no relevant item and `without_relevant` is "raise", or no query has one.
    """
    return mean_of_answerable(
        standings, lambda asked: average_precision(asked, cut=cut, over=over, ties=ties), without_relevant
    )


def mean_of_answerable(
    standings: Standings, measure: Callable[[Standings], np.ndarray], without_relevant: WithoutRelevant = "raise"
) -> float:
    """Give the mean of a measure over queries, some of which may have no relevant item.

    Args:
        standings: of all queries.
        measure: called with standings, gives one value a query.
        without_relevant: refuse such queries, leave them out, or count them as zero.

    Raises:
        MetricError: there are such queries and they are refused, or no other is left.
    """
    if without_relevant not in get_args(WithoutRelevant):
        raise MetricError(f"without_relevant: {without_relevant!r}, expected one of {list(get_args(WithoutRelevant))}")
    asked = standings if without_relevant == "raise" else standings.answerable()
    if not len(asked):
        raise MetricError("standings: no query has a relevant item, so there is nothing to average")
    values = measure(asked)
    return float(values.sum() / len(standings if without_relevant == "zero" else asked))


def precision_of_first_hits(standings: Standings, hits: int) -> Float64[np.ndarray, " Q"]:
    """Give per query the mean precision at its first `hits` relevant items, *wherever they stand*.

    Some hashing toolboxes (torchcmh, clip-based-cross-modal-hash) print this as "mAP@k". The list is not cut at k, so it is
    another measure than `average_precision(cut=k)`; it is here to stand beside their published numbers.

    Raises:
        MetricError: `hits` is below 1, or a query has no relevant item.
    """
    if hits < 1:
        raise MetricError(f"precision_of_first_hits: hits is {hits}, expected 1 or more")
    standings.require_relevant()
    wanted = np.minimum(hits, standings.totals)
    taken = np.clip(wanted[standings.query_of] - standings.relevant_ahead, 0, standings.relevant)
    whole = taken == standings.relevant
    sums = precision_sums(standings.ahead, standings.relevant_ahead, standings.tied, standings.relevant, standings.tied)
    sums = np.where(whole, sums, 0)
    for group in np.flatnonzero((taken > 0) & ~whole):
        sums[group] = _first_of_group(standings, int(group), int(taken[group]))
    means: np.ndarray = standings.sum_groups(sums) / wanted
    return means


@dataclass(frozen=True)
class Balls:
    """Count what lies within each Hamming radius 0, 1, 2 ... of each query.

    Args:
        retrieved: items within the radius.
        relevant: relevant items within it.
        totals: relevant items of each query in the whole gallery.
    """

    retrieved: Int64[np.ndarray, "Q R"]
    relevant: Int64[np.ndarray, "Q R"]
    totals: Int64[np.ndarray, " Q"]

    def __len__(self) -> int:
        return len(self.totals)


@dataclass(frozen=True)
class Curve:
    """Hold precision and recall at each radius, means over the queries, and how many queries found nothing within it."""

    radius: Int64[np.ndarray, " R"]
    precision: Float64[np.ndarray, " R"]
    recall: Float64[np.ndarray, " R"]
    empty: Int64[np.ndarray, " R"]


def balls(
    queries: UInt8[np.ndarray, "Q W"],
    items: UInt8[np.ndarray, "N _"],
    relevant: Any,
    *,
    bits: int | None = None,
    radius: int | None = None,
) -> Balls:
    """Count by Hamming distance, block by block.

    Args:
        queries: packed codes.
        items: packed codes of the gallery.
        relevant: see `as_relevance`.
        bits: how many bits a code has, where that is not 8 times its bytes.
        radius: the largest radius wanted; all up to `bits` by default.

    Raises:
        MetricError: `relevant` was made for another number of rows.
        EngineError: the codes do not fit `bits` or each other.
    """
    width = 8 * items.shape[1] if bits is None else bits
    check_width(queries, width, "balls")
    check_width(items, width, "balls")
    who = as_relevance(relevant, len(queries), len(items))
    largest = width if radius is None else min(radius, width)
    asked, searched = words(queries), words(items)
    found = np.zeros((len(queries), largest + 2), np.int64)  # the last column counts all that is farther
    hits = np.zeros_like(found)
    rows = max(1, _BLOCK_PAIRS // max(1, len(items)))
    for start in range(0, len(queries), rows):
        stop = min(start + rows, len(queries))
        distances = np.minimum(hamming_block(asked[start:stop], searched), largest + 1)
        lists = who.block(start, stop)
        found[start:stop] = [np.bincount(row, minlength=largest + 2) for row in distances]
        place = lists.query_of * (largest + 2) + distances[lists.query_of, lists.items]
        hits[start:stop] = np.bincount(place, minlength=(stop - start) * (largest + 2)).reshape(stop - start, -1)
    cumulative = np.cumsum(found, axis=1), np.cumsum(hits, axis=1)
    return Balls(cumulative[0][:, :-1], cumulative[1][:, :-1], cumulative[1][:, -1])


def precision_within_radius(counts: Balls, radius: int = 2) -> tuple[Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    """Give per query the share of relevant items within a Hamming radius, and which queries found nothing there.

    An empty ball counts as precision 0, as the literature has it; the mask says how much of the mean is due to that.

    Raises:
        MetricError: the counts do not reach that far.
    """
    if not 0 <= radius < counts.retrieved.shape[1]:
        raise MetricError(f"radius {radius}: counts go from 0 to {counts.retrieved.shape[1] - 1}")
    retrieved = counts.retrieved[:, radius]
    values = np.divide(counts.relevant[:, radius], retrieved, out=np.zeros(len(counts)), where=retrieved > 0)
    return values, retrieved == 0


def precision_recall_curve(counts: Balls) -> Curve:
    """Give precision and recall at each radius: the curve of hash lookup.

    Both are means over queries; an empty ball counts as precision 0 and is counted.

    Raises:
        MetricError: a query has no relevant item, so its recall is not defined.
    """
    if not len(counts) or counts.totals.min() == 0:
        raise MetricError(f"curve: {int((counts.totals == 0).sum())} of {len(counts)} queries have no relevant item")
    radii = np.arange(counts.retrieved.shape[1])
    precision = [precision_within_radius(counts, int(radius))[0].mean() for radius in radii]
    recall = (counts.relevant / counts.totals[:, None]).mean(axis=0)
    return Curve(radii, np.array(precision), recall, (counts.retrieved == 0).sum(axis=0))


def _first_of_group(standings: Standings, group: int, taken: int) -> float:
    """Give the expected sum of precisions at the first `taken` relevant items of a shuffled group."""
    tied, relevant = int(standings.tied[group]), int(standings.relevant[group])
    ahead, relevant_ahead = int(standings.ahead[group]), int(standings.relevant_ahead[group])
    total = 0.0
    for place in range(1, tied + 1):
        before, probability = hypergeometric(tied - 1, relevant - 1, place - 1)
        inside = before < taken
        total += (relevant_ahead + 1 + before[inside]) @ probability[inside] / (ahead + place)
    return total * relevant / tied
