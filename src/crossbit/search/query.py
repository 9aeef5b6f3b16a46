"""Query: from words, a picture or an embedding to ranked hits."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.cascade import rerank
from crossbit.errors import UsageError
from crossbit.ranking import Ranking
from crossbit.search.records import PICTURE, VIEWS, Hit
from crossbit.search.snapshot import Snapshot

TWO_STAGES_ABOVE = 20_000
"""Rows from which on codes make a short list: below, comparing all embeddings takes a few milliseconds and misses nothing."""

EXACT_WHERE = 100_000
"""Rows that a condition may leave for all their embeddings to be compared: among so few, codes would find too little."""


@dataclass(frozen=True)
class Query:
    """What is asked; see `Collection.search`."""

    text: str | None
    image: Any
    embedding: np.ndarray | None
    k: int
    where: str | None
    candidates: int | None
    threshold: float | None
    on_long_text: str

    def __post_init__(self) -> None:
        given = [name for name in ("text", "image", "embedding") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                f"search: got {' and '.join(given) or 'nothing'}, expected one of text, image and embedding"
            )
        if self.text is not None and not self.text.strip():
            raise UsageError("search: the query is empty, expected words")
        if self.k < 1:
            raise UsageError(f"search: k is {self.k}, expected 1 or more")
        if self.candidates is not None and self.candidates < 1:
            raise UsageError(f"search: candidates is {self.candidates}, expected 1 or more")
        if self.on_long_text not in ("error", "truncate", "chunk"):
            raise UsageError(f"search: on_long_text {self.on_long_text!r}, expected error, truncate or chunk")


def answer(query: Query, snapshot: Snapshot, model: Callable[[], Any]) -> list[Hit]:
    """Give the hits of a query, best first; equal scores stand by ascending id."""
    if query.candidates is not None and not (snapshot.meta.bits and snapshot.meta.dim):
        has = "no codes" if not snapshot.meta.bits else "only codes"
        raise UsageError(
            f"search: candidates is {query.candidates}, but `{snapshot.meta.model}` gives {has}", "leave it away"
        )
    allow = (
        None if query.where is None else snapshot.allowed(query.where)
    )  # before the model: a wrong field costs nothing
    embedding, code = _encode(query, snapshot, model)
    if not len(snapshot) or (allow is not None and not any(mask.any() for mask in allow)):
        return []
    ranking = _rank(query, snapshot, embedding, code, allow)
    return _hits(query, snapshot, ranking)


def _encode(query: Query, snapshot: Snapshot, model: Callable[[], Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Give the query's embedding (1, E) and code (1, K/8)."""
    meta = snapshot.meta
    if query.embedding is not None:
        rows = np.asarray(query.embedding, dtype=np.float32).reshape(1, -1)
        if rows.shape[1] != meta.dim:
            raise UsageError(
                f"search: the embedding has {rows.shape[1]} numbers, expected {meta.dim} as `{meta.model}` gives"
            )
        if not np.isfinite(rows).all():
            raise UsageError("search: the embedding holds NaN or infinity, expected finite numbers")
        return rows, None
    if query.text is not None:
        found = model().encode("text", [query.text], on_long_text=query.on_long_text)
    else:
        image = query.image
        if isinstance(image, (str, Path)) and not os.path.exists(image):
            raise UsageError(f"{image}: no such file, expected a picture to search with")
        found = model().encode("image", [image])
    embedding = None if found.embedding is None else np.asarray(found.embedding[:1], np.float32)
    return embedding if meta.dim else None, found.code[:1] if meta.bits else None


def _rank(
    query: Query,
    snapshot: Snapshot,
    embedding: np.ndarray | None,
    code: np.ndarray | None,
    allow: Sequence[np.ndarray] | None,
) -> Ranking:
    """Rank rows: so many that the k best items are surely among them."""
    # every item that comes before the k-th has at most `views` rows before its best one
    k = min(query.k, len(snapshot))
    rows = min(k * snapshot.views, snapshot.rows)
    if embedding is None:
        assert code is not None
        return snapshot.over("codes", query.where).search_among(code, rows, allow)
    if code is None:
        if query.candidates is not None:
            raise UsageError(
                "search: candidates need a code of the query, an embedding has none", "leave `candidates` away"
            )
        return snapshot.over("vectors", query.where).search_among(embedding, rows, allow)
    left = snapshot.rows if allow is None else sum(int(np.count_nonzero(mask)) for mask in allow)
    if query.candidates is None and (snapshot.rows <= TWO_STAGES_ABOVE or (allow is not None and left <= EXACT_WHERE)):
        return snapshot.over("vectors", query.where).search_among(embedding, rows, allow)
    wanted = query.candidates or max(200, 20 * k)
    short = min(max(wanted, k) * -(-snapshot.rows // len(snapshot)), snapshot.rows)
    shortlist = snapshot.over("codes", query.where).search_among(code, short, allow)
    return rerank(shortlist, lambda _, ids: snapshot.flat.score(embedding[0], ids), keep=short)


def _hits(query: Query, snapshot: Snapshot, ranking: Ranking) -> list[Hit]:
    """Fold rows into items: an item is as good as its best row."""
    best: dict[int, tuple[float, int]] = {}
    for row, score in zip(ranking.ids[0].tolist(), ranking.scores[0].tolist(), strict=True):
        below = query.threshold is not None and score < query.threshold
        if row < 0 or len(best) == query.k or below:
            break
        best.setdefault(row // VIEWS, (score, row % VIEWS))
    items = snapshot.items(list(best))
    hits = []
    for rank, item in enumerate(items, start=1):
        score, view = best[item.id]
        why = PICTURE if view == 0 else item.captions[view - 1]
        hits.append(Hit(item.id, score, rank, item.path, item.captions, item.metadata, why))
    return hits
