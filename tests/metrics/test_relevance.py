"""Relevance in its several forms says the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from crossbit.errors import MetricError
from crossbit.metrics import Relevant, SharedLabels, as_relevance

TABLE = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], bool)


def lists(relevant: Relevant) -> list[list[int]]:
    return [relevant.items[a:b].tolist() for a, b in zip(relevant.offsets, relevant.offsets[1:], strict=False)]


@pytest.mark.parametrize(
    "relevant",
    [
        TABLE,
        sparse.csr_matrix(TABLE),
        Relevant.from_lists([[2, 0, 2], [], [1]], 4),
        Relevant.from_pairs(np.array([2, 0, 0, 0]), np.array([1, 2, 0, 2]), 3, 4),
        Relevant.from_keys(["a", "z", "b"], ["a", "b", "a", "c"]),
        SharedLabels(np.array([[1, 0], [0, 0], [0, 2]]), np.array([[1, 0], [0, 1], [1, 0], [0, 0]])),
    ],
)
def test_forms_agree(relevant: object) -> None:
    found = as_relevance(relevant, 3, 4)
    assert (found.queries, found.gallery) == (3, 4)
    assert lists(found.block(0, 3)) == [[0, 2], [], [1]]
    assert lists(found.block(1, 3)) == [[], [1]]


def test_owner_turned_gives_the_captions_of_an_image() -> None:
    owner = np.array([1, 0, 1, 1])
    assert lists(as_relevance(owner, 4, 3).block(0, 4)) == [[1], [0], [1], [1]]
    turned = Relevant.from_owner(owner, 3).turned()
    assert lists(turned) == [[1], [0, 2, 3], []]
    assert turned.counts.tolist() == [1, 3, 0]
    assert lists(turned.select(np.array([1, 1, 2]))) == [[0, 2, 3], [0, 2, 3], []]


def test_concept_keys_cross_items() -> None:
    found = Relevant.from_keys(np.array([3, 1]), np.array([1, 3, 3]))
    assert lists(found) == [[1, 2], [0]]


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(MetricError, match="rows 0 to 2"):
        Relevant.from_owner(np.array([3]), 3)
    with pytest.raises(MetricError, match="each once"):
        Relevant(np.array([0, 2]), np.array([1, 1]), 3)
    with pytest.raises(MetricError, match="offsets fall"):
        Relevant(np.array([0, 2, 1, 2]), np.array([0, 1]), 3)
    with pytest.raises(MetricError, match="found list"):
        as_relevance([[0]], 1, 1)
    with pytest.raises(MetricError, match="made for 3 queries and 4 items"):
        as_relevance(TABLE, 3, 5)
