"""Calibrated probability: how likely an answer is right, from its score and margin; "no good match" is an answer then.

`fitting` makes a calibration from a collection's captions, or from questions with known answers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from crossbit.errors import CollectionError
from crossbit.search.durable import read_json, write_json
from crossbit.search.records import Hit

log = logging.getLogger(__name__)

FILE = "calibration.json"
FORMAT = 1
BEST = 10
"""Answers that are looked at: the margin of each is by how much it is ahead of the last of them."""


@dataclass(frozen=True)
class Calibration:
    """Logistic regressions on score and margin, and what they were found to be worth on captions they were not fitted on.

    Args:
        first: of the first answer: log-odds at score 0 and margin 0, a unit of score, and a unit by which it is ahead of the
            tenth; the second may well be another picture of the same.
        others: the same of the answers behind it.
        fingerprint: of the model.
        commit: of the collection that it was fitted on.
        queries: captions that were asked.
        error: expected calibration error of first answers, in ten bins: 0.02 is two points of a hundred off.
        brier: mean squared error of the probability of the first answer.
        plain_brier: the same of a probability that is the same for all.
        kept: share of the right first answers whose probability is 0.5 or more.
        refused: share of the questions without an answer where no answer has a probability of 0.5.
    """

    first: tuple[float, float, float]
    others: tuple[float, float, float]
    fingerprint: str
    commit: int
    queries: int
    error: float = 0.0
    brier: float = 0.0
    plain_brier: float = 0.0
    kept: float = 0.0
    refused: float = 0.0

    def probability(self, scores: Sequence[float]) -> list[float]:
        """Give the probability of each answer of one question; the scores are those of its ten best or more."""
        if not len(scores):
            return []
        features = features_of(np.asarray(scores, np.float64))
        chances = sigmoid(features @ np.array(self.others))
        chances[0] = sigmoid(features[0] @ np.array(self.first))
        return [float(chance) for chance in chances]

    def annotate(self, hits: Sequence[Hit]) -> list[Hit]:
        """Give the hits of one question with their probabilities."""
        chances = self.probability([hit.score for hit in hits])
        return [replace(hit, probability=round(chance, 4)) for hit, chance in zip(hits, chances, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as JSON knows them."""
        return asdict(self)

    def save(self, path: Path) -> None:
        """Write a file with a checksum, whole or not at all."""
        write_json(path, {"format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            CollectionError: it is damaged, or a newer crossbit wrote it.
        """
        record = read_json(path)
        written = record.pop("format", None)
        try:
            found = cls(**{**record, "first": tuple(record["first"]), "others": tuple(record["others"])})
            single = [value for name, value in asdict(found).items() if name not in ("fingerprint", "first", "others")]
            numbers = np.array([*found.first, *found.others, *single], np.float64)
            fine = written == FORMAT and len(found.first) == len(found.others) == 3 and bool(np.isfinite(numbers).all())
        except (KeyError, TypeError, ValueError):
            fine = False
        if not fine:
            raise CollectionError(
                f"{path}: format {written} with {sorted(record)}, expected a calibration of format {FORMAT}",
                "fit it again: `crossbit collection calibrate`",
            )
        return found


def find(folder: Path, fingerprint: str, model: Path | None = None) -> Calibration | None:
    """Give the calibration of a collection, else the one that lies in the model's folder; None where neither fits the model."""
    for path in (folder / FILE, *([] if model is None else [model / FILE])):
        if path.is_file():
            found = Calibration.load(path)
            if found.fingerprint == fingerprint:
                return found
            log.warning("%s: fitted for another model, left aside", path)
    return None


def features_of(scores: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3"]:
    """Give 1, score and margin of each answer: how far ahead it is of the tenth, or of the last where there are fewer."""
    level = scores[min(len(scores), BEST) - 1] if len(scores) > 1 else 0.0
    return np.stack([np.ones(len(scores)), scores, scores - level], axis=1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Give probabilities of log-odds."""
    found: np.ndarray = 0.5 * (1.0 + np.tanh(0.5 * x))
    return found
