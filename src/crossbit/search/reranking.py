"""Re-ranking: the short list of a search, ordered anew by a model that looks at words and picture together.

The tokens of the candidates are the kept ones where the collection keeps them. Else they come from the files, which are decoded
and encoded again for every question.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.cascade import rerank
from crossbit.errors import AbilityError, ConfigError, MediaError, UsageError
from crossbit.features import Features, concatenate
from crossbit.ranking import Ranking
from crossbit.search.place import load_model
from crossbit.search.records import Hit
from crossbit.search.tokens import KeptTokens

CANDIDATES = 200
"""Items on the short list where nothing else is said."""

log = logging.getLogger("crossbit")


@dataclass(frozen=True)
class Reranking:
    """How a re-ranking went.

    Args:
        model: that ordered the short list anew.
        candidates: items on it.
        scored: of them, as many as the budget allowed; the others stand behind in their order, with their first score.
        from_files: of the scored, those whose tokens were not kept, so that their pictures were encoded again.
        unreadable: of those, pictures that cannot be read any more; they stand behind what was scored.
        encoding_ms: that took.
        total_ms: everything, without loading the model.
    """

    model: str
    candidates: int
    scored: int
    from_files: int
    unreadable: int
    encoding_ms: float
    total_ms: float


def reranker(named: Any, own: Any, runs: Path = Path("runs")) -> Any:
    """Find the model that re-ranks.

    Args:
        named: a model, its folder, or the key of a method, which means the newest model of that method below `runs`.
        own: the collection's model, which is taken where its method is the one that is named.
        runs: where trained models lie.

    Raises:
        ConfigError: there is no such model.
    """
    if not isinstance(named, (str, Path)):
        return named
    text = os.fspath(named)
    if (Path(text) / "config.json").is_file():
        return load_model(text)
    if (Path(text) / "model" / "config.json").is_file():
        return load_model(Path(text) / "model")
    if getattr(getattr(own, "card", None), "method", None) == text:
        return own
    from crossbit.methods import METHODS

    if text not in METHODS:
        return load_model(text)
    found = sorted(runs.glob(f"{text}-*/model/config.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ConfigError(
            f"rerank `{text}`: no model of this method below {runs}/, expected one",
            f"train one with `crossbit train {text}`, or name its folder",
        )
    return load_model(found[-1].parent)


def rerank_hits(
    hits: Sequence[Hit],
    text: str | None,
    model: Any,
    kept: KeptTokens | None,
    sha256: Sequence[bytes],
    *,
    k: int,
    budget_ms: float | None = None,
    on_long_text: str = "truncate",
) -> tuple[list[Hit], Reranking]:
    """Order a short list anew.

    Args:
        hits: the short list, best first.
        text: what was asked.
        model: scores pairs, or embeds: then its own cosine decides.
        kept: tokens of the model's image encoder; None where none are kept.
        sha256: of each hit's picture.
        k: how many to give.
        budget_ms: milliseconds for reading tokens and scoring; None scores all.
        on_long_text: what to do with text longer than the model reads.

    Raises:
        UsageError: a picture asked, or the budget is not above zero.
        AbilityError: the model neither scores nor embeds.
    """
    if text is None:
        raise UsageError(
            "rerank: got a picture or an embedding, expected words: pairs of a text and a picture are scored"
        )
    if budget_ms is not None and not budget_ms > 0:
        raise UsageError(f"rerank: budget is {budget_ms:g} ms, expected more than 0")
    if not model.abilities & {"scores", "embeds"}:
        raise AbilityError(f"model `{model.name}` neither scores pairs nor embeds, so it cannot re-rank")
    query = model.features("text", [text], on_long_text=on_long_text)
    source = _Tokens(model, kept, sha256, [hit.path for hit in hits])
    scorer = _scorer(model, query, source)
    getattr(model, "method", None)  # weights are read when they are first asked for, which no budget is meant for
    began = time.perf_counter()
    ids = np.arange(len(hits), dtype=np.int64)[None]
    before = np.array([[hit.score for hit in hits]], np.float32)
    found = rerank(
        Ranking(ids, before), scorer, keep=max(1, len(hits)), budget_ms=None if budget_ms is None else float(budget_ms)
    )
    total = 1000 * (time.perf_counter() - began)
    order = [(int(at), float(score)) for at, score in zip(found.ids[0], found.scores[0], strict=True) if at >= 0]
    scored = source.asked
    made = [
        replace(hits[at], score=score if np.isfinite(score) else hits[at].score, rank=rank)
        for rank, (at, score) in enumerate(order[:k], start=1)
    ]
    unread = sum(1 for at, score in order[:scored] if not np.isfinite(score))
    report = Reranking(
        model.name, len(hits), scored - unread, source.from_files, unread, round(source.encoding_ms, 3), round(total, 3)
    )
    log.debug("%s", report)
    return made, report


def _scorer(model: Any, query: Features, source: _Tokens) -> Any:
    """Give the scores of the query with some candidates; one that cannot be read gets the lowest."""
    if "scores" in model.abilities:
        joint = model.scorer(query, source.take)
    else:
        embedding = model.rows(query).embedding[0]

        def joint(_: int, places: np.ndarray) -> np.ndarray:
            cosines: np.ndarray = model.rows(source.take(places)).embedding @ embedding
            return cosines

    def score(number: int, places: np.ndarray) -> np.ndarray:
        source.load(places)
        scores = np.full(len(places), -np.inf, np.float32)
        there = np.array([place in source.held for place in places.tolist()])
        if there.any():
            scores[there] = joint(number, places[there])
        return scores

    return score


class _Tokens:
    """Gives the tokens of candidates by their places on the short list."""

    def __init__(self, model: Any, kept: KeptTokens | None, sha256: Sequence[bytes], paths: Sequence[Path]) -> None:
        self.model, self.kept, self.sha256, self.paths = model, kept, sha256, paths
        self.held: dict[int, Features] = {}
        self.asked = self.from_files = 0
        self.encoding_ms = 0.0

    def take(self, places: np.ndarray) -> Features:
        """Join what was loaded."""
        return concatenate([self.held[place] for place in places.tolist()])

    def load(self, places: np.ndarray) -> None:
        """Read kept tokens, and encode the pictures of the others again."""
        self.held, missing = {}, []
        self.asked += len(places)
        for place in places.tolist():
            found = None if self.kept is None else self.kept.read(self.sha256[place])
            if found is None:
                missing.append(place)
            else:
                self.held[place] = found
        if not missing:
            return
        began = time.perf_counter()
        for place in missing:
            try:
                self.held[place] = self.model.features("image", [self.paths[place]])
                self.from_files += 1
            except MediaError as error:
                log.warning("%s: left where it was on the short list: %s", self.paths[place], error.message)
        self.encoding_ms += 1000 * (time.perf_counter() - began)
