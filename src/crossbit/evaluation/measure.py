"""From rows and cases to measures: what `evaluate`, validation while training and `bench` share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crossbit.errors import MetricError, UsageError
from crossbit.evaluation.protocols import Case, Family, Protocol, protocol_of
from crossbit.metrics.blocks import standings_both_ways, standings_from_rows
from crossbit.metrics.hashing import (
    Balls,
    balls,
    mean_average_precision,
    mean_of_answerable,
    precision_recall_curve,
    precision_within_radius,
)
from crossbit.metrics.relevance import Relevant
from crossbit.metrics.retrieval import (
    average_precision,
    first_rank,
    map_at_r,
    precision_at_n,
    r_precision,
    recall_at_k,
    relevant_recall_at_k,
)
from crossbit.metrics.standings import Standings, standings

DIRECTIONS = ("image_to_text", "text_to_image")
CUTS = (1, 5, 10)
MAP_CUTS = (50, 100, 500, 1000, 5000)
TOP_N = (100, 500, 1000)
TOP_CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
RADIUS = 2
_BLOCK_SCORES = 1 << 23
CURVE_POINTS = 64
"""Radii of a curve that are kept, beside radius 0: of a long code every so many."""

Metrics = dict[str, float]
"""Measure to value: recalls, precisions and MAPs in percent, ranks from 1."""

Curves = dict[str, list[float]]
"""Of the hashing family: `top_n` with `precision_at_top_n`; of codes also `radius` with `precision`, `recall` and `empty`,
the means of what lies within each Hamming radius. Precision and recall in percent."""


Scores = np.ndarray | tuple[np.ndarray, np.ndarray]
"""A joint score for every image (row) and text (column); or one table for images that ask and one for texts that ask."""


@dataclass(frozen=True)
class Answers:
    """Hold what each query of one language and direction got: enough to test two methods against each other.

    Args:
        item: the item that each query belongs to; all queries of an item are drawn together.
        ahead: items before the best tie group that holds a relevant one.
        tied: items in that group.
        relevant: relevant items in it.
        average_precision: of each query, in the hashing family; else empty.
    """

    item: np.ndarray
    ahead: np.ndarray
    tied: np.ndarray
    relevant: np.ndarray
    average_precision: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def first_rank(self) -> np.ndarray:
        """Give the expected rank of the best relevant item, from 1."""
        return first_rank(self._standings())

    def hits(self, k: int) -> np.ndarray:
        """Give the probability that a relevant item is among the first k."""
        return recall_at_k(self._standings(), k)

    def _standings(self) -> Standings:
        offsets = np.arange(len(self) + 1)
        none = np.zeros(len(self), np.int64)
        gallery = int((self.ahead + self.tied).max(initial=0))
        return Standings(offsets, self.ahead, self.tied, self.relevant, none, gallery)


@dataclass(frozen=True)
class Measured:
    """Hold measures by language and direction, and what each query got.

    `metrics[language][direction]` are the measures; `metrics[language]["both"]` holds rsum or the mean MAP; the language
    "mean" is the mean over languages. `curves[language][direction]` are those of the hashing family without folds.
    """

    metrics: Mapping[str, Mapping[str, Metrics]]
    answers: Mapping[str, Mapping[str, Answers]]
    curves: Mapping[str, Mapping[str, Curves]] = field(default_factory=dict)

    @property
    def rsum(self) -> float:
        """Give the rsum, the mean over languages.

        Raises:
            MetricError: another family of measures was taken.
        """
        if "rsum" not in self.metrics["mean"]["both"]:
            raise MetricError("this protocol measures no rsum")
        return self.metrics["mean"]["both"]["rsum"]


def evaluate_rows(
    images: np.ndarray,
    texts: Mapping[str, np.ndarray],
    owners: Mapping[str, np.ndarray],
    *,
    bits: int | None = None,
    protocol: str | Protocol = "concept-retrieval",
) -> Measured:
    """Measure rows that are already there, such as those of a validation split.

    Args:
        images: embeddings, or packed codes as uint8.
        texts: by language, the same kind of rows.
        owners: by language, the image that each text belongs to.
        bits: how many bits a code has, where that is not 8 times its bytes.
        protocol: gives the family of measures; relevant is the own image.

    Raises:
        MetricError: rows and owners do not fit.
        UsageError: the two mappings name different languages, or there is none.
    """
    rules = protocol_of(protocol)
    if set(texts) != set(owners) or not texts:
        raise UsageError(
            f"evaluate_rows: texts in {sorted(texts)}, owners in {sorted(owners)}, expected the same languages"
        )
    rows = np.arange(len(images))
    cases, start = [], 0
    for language, part in texts.items():
        numbers = np.arange(start, start + len(part))
        owner = np.asarray(owners[language], np.int64)
        relevant = Relevant.from_owner(owner, len(images))
        cases.append(Case(language, rows, numbers, owner, rows, numbers, relevant.turned(), relevant))
        start += len(part)
    return measure(cases, images, np.concatenate(list(texts.values())), rules, bits)


def measure(
    cases: Sequence[Case],
    images: np.ndarray,
    texts: np.ndarray,
    protocol: Protocol,
    bits: int | None = None,
    asking: tuple[np.ndarray, np.ndarray] | None = None,
    scores: Scores | None = None,
) -> Measured:
    """Measure all cases of a plan.

    Args:
        cases: who asks and who is searched.
        images: one row an item of the plan.
        texts: one row a text of the plan.
        protocol: gives family and the rule for queries without an answer.
        bits: of a code.
        asking: other rows of the same images and texts, used where they ask and not where they are searched.
        scores: of every image with every text, in place of what a comparison of rows gives; two tables where images and texts
            ask by different ones, as after re-ranking.
    """
    metrics: dict[str, dict[str, list[Metrics]]] = {}
    answers: dict[str, dict[str, list[Answers]]] = {}
    curves: dict[str, dict[str, Curves]] = {}
    for case in cases:
        if scores is not None:
            taken = _scored(case, scores)
        else:
            taken = _standings(case, images, texts) if asking is None else _asymmetric(case, asking, images, texts)
        for direction, found, items in zip(DIRECTIONS, taken, (case.images, case.text_item), strict=True):
            values = _recall(found.answerable()) if protocol.family == "recall" else _hashing(found, protocol)
            if protocol.family == "hashing":
                line = _top_curve(found)
                if images.dtype == np.uint8:
                    counts = _balls(case, direction, images, texts, bits)
                    values |= _within_radius(counts)
                    line |= _radius_curve(counts)
                if protocol.folds == 1:
                    curves.setdefault(case.language, {})[direction] = line
            metrics.setdefault(case.language, {}).setdefault(direction, []).append(values)
            got = _answers(found, items, protocol.family)
            answers.setdefault(case.language, {}).setdefault(direction, []).append(got)
    by_language = {
        language: _with_both({direction: _mean(folds) for direction, folds in sides.items()})
        for language, sides in metrics.items()
    }
    mean = {key: _mean([sides[key] for sides in by_language.values()]) for key in (*DIRECTIONS, "both")}
    joined = {
        language: {direction: _join(folds) for direction, folds in sides.items()} for language, sides in answers.items()
    }
    return Measured({**by_language, "mean": mean}, joined, curves)


def _standings(case: Case, images: np.ndarray, texts: np.ndarray) -> tuple[Standings, Standings]:
    """Give the standings of pictures asking and of texts asking."""
    if case.mirrors:
        return standings_both_ways(images[case.images], texts[case.texts], case.image_to_text)
    return (
        standings_from_rows(images[case.images], texts[case.text_gallery], case.image_to_text),
        standings_from_rows(texts[case.texts], images[case.image_gallery], case.text_to_image),
    )


def _scored(case: Case, scores: Scores) -> tuple[Standings, Standings]:
    """Give the standings by joint scores, a block of queries after the other."""
    forth, back = scores if isinstance(scores, tuple) else (scores, scores)

    def blocks(table: np.ndarray, asking: np.ndarray, gallery: np.ndarray) -> Iterator[np.ndarray]:
        step = max(1, _BLOCK_SCORES // max(1, len(gallery)))
        for start in range(0, len(asking), step):
            yield table[np.ix_(asking[start : start + step], gallery)]

    return (
        standings(lambda: blocks(forth, case.images, case.text_gallery), case.image_to_text),
        standings(lambda: blocks(back.T, case.texts, case.image_gallery), case.text_to_image),
    )


def _asymmetric(
    case: Case, asking: tuple[np.ndarray, np.ndarray], images: np.ndarray, texts: np.ndarray
) -> tuple[Standings, Standings]:
    asking_images, asking_texts = asking
    return (
        standings_from_rows(asking_images[case.images], texts[case.text_gallery], case.image_to_text),
        standings_from_rows(asking_texts[case.texts], images[case.image_gallery], case.text_to_image),
    )


def _recall(found: Standings) -> Metrics:
    if not len(found):
        raise MetricError("no query has a relevant item, so there is nothing to measure")
    values = {f"recall_at_{k}": 100 * float(recall_at_k(found, k).mean()) for k in CUTS}
    values |= {f"relevant_recall_at_{k}": 100 * float(relevant_recall_at_k(found, k).mean()) for k in CUTS}
    ranks = first_rank(found)
    return values | {
        "median_rank": float(np.median(ranks)),
        "mean_rank": float(ranks.mean()),
        "map_at_r": 100 * float(map_at_r(found).mean()),
        "r_precision": 100 * float(r_precision(found).mean()),
        "queries": float(len(found)),
    }


def _hashing(found: Standings, protocol: Protocol) -> Metrics:
    policy = protocol.without_relevant
    values = {"map_all": 100 * mean_average_precision(found, without_relevant=policy)}
    for cut in MAP_CUTS:
        if cut <= found.gallery:
            values[f"map_at_{cut}"] = 100 * mean_average_precision(found, cut=cut, without_relevant=policy)
    for n in TOP_N:
        if n <= found.gallery:
            values[f"precision_at_{n}"] = 100 * mean_of_answerable(found, lambda s, n=n: precision_at_n(s, n), policy)  # type: ignore[misc]
    without = int(np.count_nonzero(found.totals == 0))
    return values | {"queries": float(len(found)), "queries_without_relevant": float(without)}


def _balls(case: Case, direction: str, images: np.ndarray, texts: np.ndarray, bits: int | None) -> Balls:
    if direction == "image_to_text":
        return balls(images[case.images], texts[case.text_gallery], case.image_to_text, bits=bits)
    return balls(texts[case.texts], images[case.image_gallery], case.text_to_image, bits=bits)


def _within_radius(counts: Balls) -> Metrics:
    values, empty = precision_within_radius(counts, min(RADIUS, counts.retrieved.shape[1] - 1))
    return {f"precision_within_radius_{RADIUS}": 100 * float(values.mean()), "empty_balls": float(empty.sum())}


def _top_curve(found: Standings) -> Curves:
    """Give the mean precision of the first N answers, of queries that something answers."""
    asked = found.answerable()
    cuts = [n for n in TOP_CURVE if n <= found.gallery]
    values = [100 * float(precision_at_n(asked, n).mean()) for n in cuts]
    return {"top_n": [float(n) for n in cuts], "precision_at_top_n": values}


def _radius_curve(counts: Balls) -> Curves:
    """Give precision and recall over Hamming radii, of queries that something answers."""
    asked = counts.totals > 0
    curve = precision_recall_curve(Balls(counts.retrieved[asked], counts.relevant[asked], counts.totals[asked]))
    last = len(curve.radius) - 1
    kept = np.unique(np.linspace(0, last, min(last, CURVE_POINTS) + 1).round().astype(np.int64))
    return {
        "radius": curve.radius[kept].astype(float).tolist(),
        "precision": (100 * curve.precision[kept]).tolist(),
        "recall": (100 * curve.recall[kept]).tolist(),
        "empty": curve.empty[kept].astype(float).tolist(),
    }


def _answers(found: Standings, items: np.ndarray, family: Family) -> Answers:
    answered = np.flatnonzero(found.totals)
    kept = found.select(answered)
    best = kept.first
    precision = average_precision(kept) if family == "hashing" else np.empty(0)
    return Answers(items[answered], kept.ahead[best], kept.tied[best], kept.relevant[best], precision)


def _with_both(sides: dict[str, Metrics]) -> dict[str, Metrics]:
    """Add what belongs to both directions: rsum, or the mean MAP."""
    first = sides[DIRECTIONS[0]]
    if "recall_at_1" in first:
        return {**sides, "both": {"rsum": sum(sides[d][f"recall_at_{k}"] for d in DIRECTIONS for k in CUTS)}}
    return {**sides, "both": {"map_all": sum(sides[d]["map_all"] for d in DIRECTIONS) / 2}}


def _mean(parts: Sequence[Metrics]) -> Metrics:
    shared = [name for name in parts[0] if all(name in part for part in parts)]  # a small gallery has no MAP@5000
    return {name: float(np.mean([part[name] for part in parts])) for name in shared}


def _join(parts: Sequence[Answers]) -> Answers:
    if len(parts) == 1:
        return parts[0]
    names = Answers.__dataclass_fields__
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
