"""Measuring joint scores: the same measures as rows give, through a matrix; what cannot score says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import AbilityError
from crossbit.evaluation.evaluate import evaluate
from evaluation.toys import ToyModel, manifest


class Scorer(ToyModel):
    """Has joint scores only."""

    abilities = frozenset({"scores"})


def dots(paths: Sequence[Path], texts: Sequence[str]) -> np.ndarray:
    model = ToyModel(noise=0.8)
    scores: np.ndarray = model.encode("image", paths).embedding @ model.encode("text", texts).embedding.T  # type: ignore[union-attr]
    return scores


@pytest.mark.parametrize("protocol", ["concept-retrieval", "same-concept"])
def test_scores_are_measured_as_the_rows_that_they_come_from(protocol: str) -> None:
    by_rows = evaluate(ToyModel(noise=0.8), manifest(), protocol=protocol, command="x")
    by_score = evaluate(Scorer(), manifest(), protocol=protocol, by="score", score=dots, command="x")
    assert by_score.metrics == by_rows.metrics
    assert 100 < by_rows.rsum < 600
    assert by_score.model["by"] == "score"


def test_a_model_without_joint_scores_says_so() -> None:
    with pytest.raises(AbilityError, match="has no joint score"):
        evaluate(ToyModel(), manifest(), by="score")
