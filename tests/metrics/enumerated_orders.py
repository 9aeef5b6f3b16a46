"""The slow twin of the measures: every order that ties allow is written down, measured, and averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product

import numpy as np

Measure = Callable[[list[bool]], float]


def orders(similarity: np.ndarray, relevant: np.ndarray) -> Iterator[list[bool]]:
    """Give, for every order of equal items, which places hold relevant ones."""
    values = sorted(set(similarity.tolist()), reverse=True)
    groups = [[bool(relevant[i]) for i in np.flatnonzero(similarity == value)] for value in values]
    for choice in product(*[list(permutations(group)) for group in groups]):
        yield [flag for group in choice for flag in group]


def expected(similarity: np.ndarray, relevant: np.ndarray, measure: Measure) -> float:
    return float(np.mean([measure(order) for order in orders(similarity, relevant)]))


def best(similarity: np.ndarray, relevant: np.ndarray, measure: Measure) -> float:
    return max(measure(order) for order in orders(similarity, relevant))


def worst(similarity: np.ndarray, relevant: np.ndarray, measure: Measure) -> float:
    return min(measure(order) for order in orders(similarity, relevant))


def hit(k: int) -> Measure:
    return lambda order: float(any(order[:k]))


def recall(k: int) -> Measure:
    return lambda order: sum(order[:k]) / sum(order)


def precision(n: int) -> Measure:
    return lambda order: sum(order[:n]) / n


def r_precision(order: list[bool]) -> float:
    return sum(order[: sum(order)]) / sum(order)


def rank_of_first(order: list[bool]) -> float:
    return order.index(True) + 1


def _precisions(order: list[bool]) -> list[float]:
    return [sum(order[: place + 1]) / (place + 1) for place, flag in enumerate(order) if flag]


def average_precision(cut: int | None, over: str) -> Measure:
    def measure(order: list[bool]) -> float:
        length = len(order) if cut is None else cut
        found = _precisions(order[:length])
        divisor = min(length, sum(order)) if over == "relevant" else len(found)
        return sum(found) / divisor if divisor else 0.0

    return measure


def map_at_r(order: list[bool]) -> float:
    return sum(_precisions(order[: sum(order)])) / sum(order)


def first_hits(hits: int) -> Measure:
    def measure(order: list[bool]) -> float:
        found = _precisions(order)[:hits]
        return sum(found) / len(found)

    return measure
