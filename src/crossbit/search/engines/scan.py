"""What the exact engines share: blocks of rows with ascending ids, a mask of the living, and the walk over them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float32, Int64

from crossbit.errors import EngineError
from crossbit.ranking import Ranking
from crossbit.search.engines.base import Row, Rows, best_of, check_rows, padded

CHUNK_BYTES = 8 << 20
"""Rows compared at a time: few enough that their float32 copy and their scores stay small beside the collection."""


@dataclass
class Block:
    """Rows that came together. `rows` may be a memory map; `scales` belong to int8 rows; `alive` is None while all are.

    `made` holds what engines make of the rows and keep: tables, a graph. It lives as long as the block, which a segment keeps
    from one commit to the next.
    """

    ids: Int64[np.ndarray, " N"]
    rows: Rows
    scales: Float32[np.ndarray, " N"] | None = None
    alive: Bool[np.ndarray, " N"] | None = None
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def places(self, ids: Int64[np.ndarray, " M"]) -> tuple[Int64[np.ndarray, " F"], Int64[np.ndarray, " F"]]:
        """Say which of `ids` live here: their places in `ids`, and in this block."""
        if not len(self.ids) or not len(ids):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if self.ids[-1] - self.ids[0] == len(self.ids) - 1:  # ascending without a gap
            at = ids - self.ids[0]
        else:  # neighbours are found in the cache
            order = np.argsort(ids, kind="stable")
            at = np.empty(len(ids), np.int64)
            at[order] = np.searchsorted(self.ids, ids[order])
        at[(at < 0) | (at >= len(self.ids))] = 0
        here = self.ids[at] == ids
        if self.alive is not None:
            here &= self.alive[at]
        return np.flatnonzero(here), at[here]

    def mask(self, ids: Int64[np.ndarray, " M"]) -> Bool[np.ndarray, " N"]:
        """Say which rows are among `ids`, and alive."""
        found = np.zeros(len(self.ids), dtype=bool)
        found[self.places(ids)[1]] = True
        return found

    def among(self, mask: Bool[np.ndarray, " N"] | None) -> Bool[np.ndarray, " N"] | None:
        """Say which rows may be found: those of a mask that are alive; None for all."""
        if mask is None or self.alive is None:
            return self.alive if mask is None else mask
        both: np.ndarray = mask & self.alive
        return both


class ScanEngine(ABC):
    """Compare every row with every query. `FlatEngine` and `HammingEngine` say how a row is stored and compared."""

    row: ClassVar[Row]

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self.width = 0

    @abstractmethod
    def _store(self, rows: Rows) -> tuple[Rows, np.ndarray | None]:
        """Turn rows as handed over into rows as held, with scales or None."""

    @abstractmethod
    def _compare(self, queries: Rows, block: Block, part: slice | np.ndarray) -> Float32[np.ndarray, "Q n"]:
        """Score a part of a block for every query."""

    slack: ClassVar[float] = 0.0
    """How far two equal rows can come apart in `_compare`."""

    def _refine(
        self, query: np.ndarray, block: Block, places: np.ndarray, scores: Float32[np.ndarray, " m"]
    ) -> Float32[np.ndarray, " m"]:
        """Score a few rows so that equal rows have equal scores, wherever they lie."""
        return scores

    def _settings(self) -> dict[str, Any]:
        """Give what the constructor needs to make this engine again."""
        return {}

    def add(self, ids: Int64[np.ndarray, " N"], rows: Rows) -> None:
        """Take rows under new ids; see `Engine`."""
        check_rows(type(self).__name__, rows, self.row, self.width)
        if ids.dtype != np.int64 or ids.shape != (len(rows),):
            raise EngineError(
                f"{type(self).__name__}: {ids.shape} {ids.dtype} ids for {len(rows)} rows, expected int64"
            )
        order = np.argsort(ids, kind="stable")
        held, scales = self._store(rows[order])
        self.attach(Block(ids[order], held, scales))

    def attach(self, block: Block) -> None:
        """Take a block of stored rows as they are, such as a memory map; its ids must ascend.

        Raises:
            EngineError: ids do not ascend, are negative, or are held already.
        """
        if not len(block.ids):
            return
        if block.ids[0] < 0 or (len(block.ids) > 1 and not np.all(block.ids[1:] > block.ids[:-1])):
            raise EngineError(
                f"{type(self).__name__}: an id is negative or stands twice, expected each once, from 0 on"
            )
        living = block.ids if block.alive is None else block.ids[block.alive]
        for other in self._blocks:
            overlap = len(living) and other.ids[0] <= living[-1] and living[0] <= other.ids[-1]
            if overlap and len(taken := other.places(living)[0]):
                raise EngineError(f"{type(self).__name__}: id {living[taken[0]]} is held already", "remove it first")
        self.width = self.width or block.rows.shape[1]
        self._blocks.append(block)

    def remove(self, ids: Int64[np.ndarray, " M"]) -> int:
        """Forget ids and say how many were held."""
        count = 0
        for block in self._blocks:
            _, at = block.places(np.unique(ids))
            if len(at):
                alive = np.ones(len(block.ids), dtype=bool) if block.alive is None else block.alive.copy()
                alive[at] = False
                block.alive = alive
                count += len(at)
        return count

    def search(self, rows: Rows, k: int, allow: Int64[np.ndarray, " M"] | None = None) -> Ranking:
        """Give the k best of every query; see `Engine`."""
        return self.search_among(rows, k, None if allow is None else [block.mask(allow) for block in self._blocks])

    def search_among(self, rows: Rows, k: int, masks: Sequence[Bool[np.ndarray, " N"]] | None) -> Ranking:
        """Give the k best of every query by comparing all rows, or those of a mask for each block, in the order of `attach`.

        Raises:
            EngineError: rows of another kind or width, k below 1, or masks that do not fit the blocks.
        """
        self._check_search(rows, k, masks)
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in rows]
        for number, block in enumerate(self._blocks):
            for part in self._parts(block, None if masks is None else masks[number], len(rows)):
                scores = self._compare(rows, block, part)
                if isinstance(part, slice) and block.alive is not None:
                    scores = np.where(block.alive[part], scores, np.float32(-np.inf))
                places = np.arange(len(block.ids))[part]
                for query, (before, who) in enumerate(best):
                    near = _at_least_kth(scores[query], k, self.slack)
                    refined = self._refine(rows[query], block, places[near], scores[query][near])
                    ids = block.ids[places[near]]
                    best[query] = best_of(np.concatenate([before, refined]), np.concatenate([who, ids]), k)
        return padded(best, k)

    def _check_search(self, rows: Rows, k: int, masks: Sequence[np.ndarray] | None) -> None:
        where = f"{type(self).__name__}.search"
        check_rows(where, rows, self.row, self.width)
        if k < 1:
            raise EngineError(f"{where}: k is {k}, expected 1 or more")
        if masks is not None and [len(mask) for mask in masks] != [len(block.ids) for block in self._blocks]:
            raise EngineError(
                f"{where}: masks of {[len(mask) for mask in masks]} rows for blocks of "
                f"{[len(block.ids) for block in self._blocks]}, expected one for each"
            )

    def _chunk(self, queries: int) -> int:
        """Say how many rows are compared at a time."""
        return max(1, CHUNK_BYTES // (self.width * np.dtype(self.row).itemsize))

    def _parts(self, block: Block, mask: np.ndarray | None, queries: int) -> Iterator[slice | np.ndarray]:
        """Walk through a block in chunks: all rows in place, or only those that are allowed."""
        chunk = self._chunk(queries)
        if mask is None:
            yield from (slice(start, start + chunk) for start in range(0, len(block.ids), chunk))
            return
        at = np.flatnonzero(mask if block.alive is None else mask & block.alive)
        yield from (at[start : start + chunk] for start in range(0, len(at), chunk))

    def __len__(self) -> int:
        return sum(len(b.ids) if b.alive is None else int(np.count_nonzero(b.alive)) for b in self._blocks)

    def save(self, folder: Path) -> None:
        """Write the living rows as `ids.npy`, `rows.npy`, `scales.npy` and `engine.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        living = [(b, slice(None) if b.alive is None else np.flatnonzero(b.alive)) for b in self._blocks]
        np.save(folder / "ids.npy", np.concatenate([b.ids[at] for b, at in living] or [np.empty(0, np.int64)]))
        if living:
            np.save(folder / "rows.npy", np.concatenate([b.rows[at] for b, at in living]))
        if scales := [b.scales[at] for b, at in living if b.scales is not None]:
            np.save(folder / "scales.npy", np.concatenate(scales))
        (folder / "engine.json").write_text(json.dumps({"engine": type(self).__name__, **self._settings()}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what `save` wrote; rows stay on disk and are mapped.

        Raises:
            EngineError: another engine wrote the folder, or there is none.
        """
        card = folder / "engine.json"
        settings = json.loads(card.read_text()) if card.is_file() else {}
        if settings.pop("engine", None) != cls.__name__:
            raise EngineError(f"{folder}: holds no {cls.__name__}, expected what its `save` wrote")
        engine = cls(**settings)
        ids = np.load(folder / "ids.npy", allow_pickle=False)
        if len(ids):
            rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
            scales = np.load(folder / "scales.npy", allow_pickle=False) if (folder / "scales.npy").is_file() else None
            if len(ids) > 1 and not np.all(ids[1:] > ids[:-1]):
                order = np.argsort(ids)
                ids, rows, scales = ids[order], rows[order], None if scales is None else scales[order]
            engine.attach(Block(ids, rows, scales))
        return engine


def _at_least_kth(scores: Float32[np.ndarray, " N"], k: int, slack: float) -> Int64[np.ndarray, " m"]:
    """Give the places of the k best and of all that could be equal to the last of them."""
    if k >= len(scores):
        return np.flatnonzero(scores > -np.inf)
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero((scores >= least - slack) & (scores > -np.inf))
