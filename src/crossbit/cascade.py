"""Retrieve, rescore, rerank: stages over rows and a scorer, in NumPy, with no storage behind them.

    code 2000 -> embedding 200 -> score 20
    retrieve     rescore          rerank

Every stage gives a `Ranking`; among equal scores the lower id comes first, so the same rows always give the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, Int64, Shaped, UInt64

from crossbit.codes.hamming import allowed_rows, hamming_topk
from crossbit.codes.packing import check_width
from crossbit.errors import ConfigError, EngineError
from crossbit.ranking import Ranking

Scorer = Callable[[int, np.ndarray], np.ndarray]
"""Called with the query's number and (k,) ids, gives (k,) scores, higher is better."""

By = Literal["code", "embedding", "score"]

_BLOCK_ROWS = 1 << 16
_BLOCK_PAIRS = 1 << 22  # pairs held at once: 16 MB of scores, 32 MB of keys
_CHUNK = 16  # candidates scored between two looks at the clock


@dataclass(frozen=True)
class Stage:
    """Name one stage of a cascade: what is compared, and how many candidates are kept."""

    by: By
    keep: int

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise ConfigError(f"stage: by {self.by!r}, expected one of {list(get_args(By))}")
        if self.keep < 1:
            raise ConfigError(f"stage {self.by}: keeps {self.keep}, expected 1 or more")


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Read stages as they are written on the command line: "code:2000,embedding:200,score:20".

    Raises:
        ConfigError: a part is not NAME:COUNT, or a later stage keeps more than the one before.
    """
    stages = []
    for part in text.split(","):
        by, _, keep = part.strip().partition(":")
        if by not in get_args(By) or not keep.isdecimal():
            raise ConfigError(
                f"stages {text!r}: found {part.strip()!r}, expected NAME:COUNT with NAME one of {list(get_args(By))}",
                'write for example "code:2000,embedding:200"',
            )
        stages.append(Stage(by, int(keep)))  # type: ignore[arg-type]
    for before, after in zip(stages, stages[1:], strict=False):
        if after.keep > before.keep:
            raise ConfigError(f"stages {text!r}: {after.by} keeps {after.keep} of {before.keep}, expected no more")
    return tuple(stages)


def retrieve(
    queries: Shaped[np.ndarray, "Q W"],
    items: Shaped[np.ndarray, "N _"],
    k: int,
    *,
    bits: int | None = None,
    ids: Int64[np.ndarray, " N"] | None = None,
    allow: Shaped[np.ndarray, " M"] | None = None,
) -> Ranking:
    """Find the k best items of each query, exactly and block by block.

    Args:
        queries: embeddings (floating point) or packed codes (uint8).
        items: the same kind of rows; embeddings may be float16 and memory-mapped, a block at a time is read.
        k: how many, 1 or more; rows are padded where fewer exist.
        bits: how many bits a code has, where that is not 8 times its bytes.
        ids: the items' ids, their row numbers by default.
        allow: the rows that may be found: a mask of N booleans, or row numbers.

    Returns:
        Scores are dot products of embeddings, or 1 - 2 * distance / bits of codes (the cosine of the ±1 vectors).

    Raises:
        EngineError: rows of two kinds or widths, k below 1, or a score that is not a number.
    """
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise EngineError(f"retrieve: rows of shapes {queries.shape} and {items.shape}, expected one width")
    if k < 1:
        raise EngineError(f"retrieve: k is {k}, expected 1 or more")
    if ids is not None and len(ids) != len(items):
        raise EngineError(f"retrieve: {len(ids)} ids for {len(items)} items, expected as many")
    rows = allowed_rows(allow, len(items), "retrieve")
    if ids is not None and not _is_ascending(ids):
        # visit the rows by ascending id, so that "the earlier row wins" becomes "the lower id wins"
        order = np.argsort(ids, kind="stable")
        rows = order if rows is None else order[np.isin(order, rows)]
    if queries.dtype == np.uint8 and items.dtype == np.uint8:
        found, scores = _nearest_codes(queries, items, k, bits, rows)
    elif np.issubdtype(queries.dtype, np.floating) and np.issubdtype(items.dtype, np.floating):
        found, scores = _best_dots(queries, items, k, rows)
    else:
        raise EngineError(f"retrieve: rows of {queries.dtype} and {items.dtype}, expected both floating or both uint8")
    numbers = found if ids is None or not len(ids) else np.where(found < 0, -1, ids[found])
    return Ranking(numbers, scores)


def rerank(ranking: Ranking, scorer: Scorer, *, keep: int, budget_ms: float | None = None) -> Ranking:
    """Reorder each query's candidates by a scorer and keep the best.

    Args:
        ranking: the candidates; padding is never handed to the scorer.
        scorer: called once for each query, or in steps of 16 candidates, best first, where there is a budget.
        keep: how many to keep of each query, 1 or more.
        budget_ms: milliseconds for each query. What is left unscored when they are over keeps its order behind what was
            scored, with score -inf; at least one step is always scored.

    Raises:
        EngineError: `keep` is below 1, or the scorer gives another number of scores or a NaN.
    """
    if keep < 1:
        raise EngineError(f"rerank: keep is {keep}, expected 1 or more")
    width = min(keep, ranking.ids.shape[1])
    ids = np.full((len(ranking), width), -1, np.int64)
    scores = np.full((len(ranking), width), -np.inf, np.float32)
    for query, row in enumerate(ranking.ids):
        candidates = row[row >= 0]
        given = _score(query, candidates, scorer, budget_ms)
        scored, rest = candidates[: len(given)], candidates[len(given) :]
        order = _order(scored, given, width)
        best = np.concatenate([scored[order], rest])[:width]
        ids[query, : len(best)] = best
        scores[query, : min(len(given), width)] = given[order][:width]
    return Ranking(ids, scores)


def rescore(
    ranking: Ranking, queries: Float[np.ndarray, "Q E"], rows: Callable[[np.ndarray], np.ndarray], *, keep: int
) -> Ranking:
    """Reorder candidates by the dot product of embeddings, finer than what found them.

    Args:
        ranking: the candidates, such as a short list by code.
        queries: one embedding a query.
        rows: gives the (k, E) embeddings of (k,) ids; float16 or dequantised rows are fine.
        keep: how many to keep of each query.
    """

    def dot(query: int, ids: np.ndarray) -> np.ndarray:
        scores: np.ndarray = rows(ids).astype(np.float32, copy=False) @ queries[query].astype(np.float32, copy=False)
        return scores

    return rerank(ranking, dot, keep=keep)


def _order(ids: np.ndarray, scores: np.ndarray, keep: int) -> Int64[np.ndarray, " k"]:
    """Give the places of the best, best first, equal scores by ascending id: at least `keep` of them, if there are as many."""
    places = np.arange(len(ids))
    if len(ids) > 4 * keep:
        least = np.partition(scores, len(scores) - keep)[len(scores) - keep]
        places = np.flatnonzero(scores >= least)
    order: np.ndarray = places[np.lexsort((ids[places], -scores[places]))]
    return order


def _score(query: int, candidates: np.ndarray, scorer: Scorer, budget_ms: float | None) -> Float32[np.ndarray, " k"]:
    """Score the candidates, or as many of the first as the budget allows."""
    if not len(candidates):
        return np.empty(0, np.float32)
    step = len(candidates) if budget_ms is None else _CHUNK
    began = time.perf_counter()
    parts: list[np.ndarray] = []
    for start in range(0, len(candidates), step):
        if parts and budget_ms is not None and 1000 * (time.perf_counter() - began) >= budget_ms:
            break
        asked = candidates[start : start + step]
        part = np.asarray(scorer(query, asked), np.float32)
        if part.shape != asked.shape or np.isnan(part).any():
            raise EngineError(f"rerank: the scorer gave {part.shape} scores, expected {asked.shape} without NaN")
        parts.append(part)
    return np.concatenate(parts)


def _nearest_codes(
    queries: np.ndarray, items: np.ndarray, k: int, bits: int | None, rows: np.ndarray | None
) -> tuple[Int64[np.ndarray, "Q k"], Float32[np.ndarray, "Q k"]]:
    width = 8 * items.shape[1] if bits is None else bits
    check_width(items, width, "retrieve")
    if rows is None or _is_ascending(rows):
        found, distances = hamming_topk(queries, items, k, allow=rows)
    else:
        found, distances = hamming_topk(queries, items[rows], k)
        found = np.where(found < 0, -1, rows[found])
    scores = 1 - 2 * distances.astype(np.float64) / width
    return found, np.where(found < 0, -np.inf, scores).astype(np.float32)


def _best_dots(
    queries: np.ndarray, items: np.ndarray, k: int, rows: np.ndarray | None
) -> tuple[Int64[np.ndarray, "Q k"], Float32[np.ndarray, "Q k"]]:
    """Keep the k smallest keys (score falling, place rising) while the blocks pass by.

    Score and place go into one integer, so that no two keys are equal and a partition leaves no choice among ties.
    """
    total = len(items) if rows is None else len(rows)
    block = max(1, min(total, _BLOCK_ROWS))
    group = max(1, _BLOCK_PAIRS // block)
    asked = queries.astype(np.float32, copy=False)
    best = np.full((len(queries), k), _NOTHING, np.uint64)
    for start in range(0, total, block):
        stop = min(start + block, total)
        part = items[start:stop] if rows is None else items[rows[start:stop]]
        part = part.astype(np.float32, copy=False)
        for top in range(0, len(asked), group):
            keys = _keys(asked[top : top + group] @ part.T, start)
            if k < keys.shape[1]:
                keys.partition(k - 1, axis=1)
                keys = keys[:, :k]
            merged = np.concatenate([best[top : top + group], keys], axis=1)
            best[top : top + group] = np.sort(merged, axis=1)[:, :k]
    places = (best & np.uint64(0xFFFFFFFF)).astype(np.int64)
    scores = _scores(best)
    empty = best == _NOTHING
    if rows is not None and total:
        places = rows[np.where(empty, 0, places)]
    return np.where(empty, -1, places), np.where(empty, np.float32(-np.inf), scores)


_NOTHING = np.uint64(0xFFFFFFFFFFFFFFFF)


def _keys(scores: Float32[np.ndarray, "Q N"], start: int) -> UInt64[np.ndarray, "Q N"]:
    """Turn each score and its place into an integer that is smaller the better the score is, then the earlier the place.

    The bits of a float rise with its value once negative numbers are turned over (IEEE 754); here they have to fall.
    """
    if np.isnan(scores).any():
        raise EngineError("retrieve: a score is NaN, expected rows of numbers")
    scores += np.float32(0)  # -0.0 and 0.0 are equal, so they share one pattern
    pattern = scores.view(np.uint32)
    falling = np.where(pattern >> np.uint32(31), pattern, pattern ^ np.uint32(0x7FFFFFFF))
    keys = falling.astype(np.uint64) << np.uint64(32)
    keys |= np.arange(start, start + scores.shape[1], dtype=np.uint64)
    return keys


def _scores(keys: UInt64[np.ndarray, "Q k"]) -> Float32[np.ndarray, "Q k"]:
    """Read the scores back out of the keys."""
    falling = (keys >> np.uint64(32)).astype(np.uint32)
    pattern = np.where(falling >> np.uint32(31), falling, falling ^ np.uint32(0x7FFFFFFF))
    return pattern.view(np.float32)


def _is_ascending(numbers: np.ndarray) -> bool:
    return bool(np.all(numbers[:-1] < numbers[1:]))
