"""Detection: how well the probabilities that pairs are wrong agree with which pairs are wrong.

Two questions, apart from each other: do wrong pairs stand before right ones (average precision, area under the ROC curve), and
does "80 %" mean that eight of ten are wrong (calibration)? A detector may be good at one and bad at the other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.stats import rankdata

from crossbit.errors import MetricError

BINS = 10

Probabilities = Float[np.ndarray, " N"]
Truth = Bool[np.ndarray, " N"]


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability plot: pairs whose probability lies in one tenth.

    Args:
        pairs: how many.
        said: their mean probability.
        found: share of them that is wrong.
    """

    pairs: int
    said: float
    found: float


@dataclass(frozen=True)
class Detection:
    """Hold how well wrong pairs are found.

    Args:
        pairs: how many were judged.
        wrong: share of them that is wrong.
        estimated: share that the detector expects to be wrong, the mean of its probabilities.
        average_precision: of the ranking; by chance it is `wrong`. Nan where no pair is wrong.
        auroc: share of (wrong, right) couples in which the wrong pair is more suspicious, ties half; nan where all are alike.
        accuracy: share that is called rightly at a probability of one half.
        brier: mean squared distance of probability and truth; lower is better.
        calibration_error: expected calibration error over ten bins of equal width.
        bins: of the reliability plot, all ten; an empty one has zeros.
    """

    pairs: int
    wrong: float
    estimated: float
    average_precision: float
    auroc: float
    accuracy: float
    brier: float
    calibration_error: float
    bins: tuple[Bin, ...]

    def to_record(self) -> dict[str, Any]:
        """Give plain values, rounded, with None for nan: what a result file keeps."""
        record = asdict(self)
        bins = [[bar.pairs, round(bar.said, 4), round(bar.found, 4)] for bar in self.bins]
        values = {name: value for name, value in record.items() if name not in ("pairs", "bins")}
        rounded = {name: None if np.isnan(value) else round(value, 5) for name, value in values.items()}
        return {"pairs": self.pairs, **rounded, "bins": bins}


def detect(probability: Probabilities, wrong: Truth) -> Detection:
    """Measure a detector against the truth.

    Args:
        probability: that each pair is wrong.
        wrong: whether it is.

    Raises:
        MetricError: there is no pair, the two differ in length, or a probability is none.
    """
    if probability.shape != wrong.shape or not len(wrong):
        raise MetricError(f"detection: {len(probability)} probabilities of {len(wrong)} pairs, expected one each")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise MetricError("detection: a probability outside [0, 1]")
    said, truth = probability.astype(np.float64), wrong.astype(np.float64)
    bins = reliability(said, wrong)
    error = sum(bar.pairs * abs(bar.said - bar.found) for bar in bins) / len(wrong)
    return Detection(
        len(wrong),
        float(truth.mean()),
        float(said.mean()),
        average_precision(said, wrong),
        auroc(said, wrong),
        float(((said > 0.5) == wrong).mean()),
        float(((said - truth) ** 2).mean()),
        float(error),
        bins,
    )


def average_precision(suspicion: Probabilities, wrong: Truth) -> float:
    """Give the sum of precisions weighted by the steps in recall; ties are taken together, nan if none is wrong."""
    if not wrong.any():
        return float("nan")
    order = np.argsort(-suspicion, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(suspicion[order])), len(order) - 1)  # the last of each group of ties
    hits: Int64[np.ndarray, " N"] = np.cumsum(wrong[order])[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1])


def auroc(suspicion: Probabilities, wrong: Truth) -> float:
    """Give the area under the ROC curve; nan where all pairs are right, or all wrong."""
    bad = int(wrong.sum())
    if bad in (0, len(wrong)):
        return float("nan")
    ranks = rankdata(suspicion)
    return float((ranks[wrong].sum() - bad * (bad + 1) / 2) / (bad * (len(wrong) - bad)))


def reliability(probability: Probabilities, wrong: Truth) -> tuple[Bin, ...]:
    """Sort pairs into ten bins by their probability."""
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    said = np.bincount(place, weights=probability, minlength=BINS) / np.maximum(count, 1)
    found = np.bincount(place, weights=wrong, minlength=BINS) / np.maximum(count, 1)
    return tuple(Bin(int(n), float(s), float(f)) for n, s, f in zip(count, said, found, strict=True))
