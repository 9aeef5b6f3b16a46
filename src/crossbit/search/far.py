"""Far: a commit is searched on a server, and here in what the server lacks. The answers are those of the engines here.

The folder decides what is an answer: an item that lives in the commit, lets the condition through, and is not waiting to be
brought. Items that wait are scanned here, and scores of embeddings are taken from the rows that lie here.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

from crossbit.ranking import Ranking
from crossbit.search.engines.base import best_of, padded
from crossbit.search.engines.flat import FlatEngine
from crossbit.search.engines.scan import ScanEngine
from crossbit.search.expression import superset
from crossbit.search.ledger import FILE, Ledger, read_ledger
from crossbit.search.mirror import Mirror
from crossbit.search.records import VIEWS
from crossbit.search.snapshot import Snapshot

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a search waits for a server."""
FEW = 20_000
"""Rows that are let through by a condition and scanned here: asking another machine would take longer."""
SETTLED_SECONDS = 60.0
"""So long after the ledger was written every copy of a table has what it says: then a server need not look what came last."""

Masks = Sequence[Bool[np.ndarray, " r"]]


class Far:
    """What searches a commit on a server. It keeps the connection while commits come and go.

    Args:
        mirror: of the collection.
    """

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        mirror.server.patience = PATIENCE

    def over(self, snapshot: Snapshot, kind: Literal["vectors", "codes"], where: str | None) -> FarEngine:
        """Give what searches a kind of rows under a condition."""
        return FarEngine(self, snapshot, kind, where)

    def waiting(self, snapshot: Snapshot) -> Ledger:
        """Read what the server lacks of a commit."""
        return read_ledger(self.mirror.folder).waits_for(snapshot.head)

    def told(self, snapshot: Snapshot) -> dict[str, Any]:
        """Say which server it is and how many items it lacks, None for all, without asking it."""
        ledger = self.waiting(snapshot)
        waiting = None if ledger.everything and len(snapshot) else len(ledger.items)
        return {"address": str(self.mirror.address), "waiting": waiting}

    def settled(self) -> bool:
        """Say whether the server was brought something just now."""
        try:
            return time.time() - os.stat(self.mirror.folder / FILE).st_mtime > SETTLED_SECONDS
        except OSError:
            return False


class FarEngine:
    """Searches as `ScanEngine.search_among` does, on a server."""

    def __init__(self, far: Far, snapshot: Snapshot, kind: Literal["vectors", "codes"], where: str | None) -> None:
        self.far, self.snapshot, self.kind, self.where = far, snapshot, kind, where

    @property
    def here(self) -> ScanEngine:
        """Open the rows that lie here; nothing is read before it is looked at."""
        return self.snapshot.flat if self.kind == "vectors" else self.snapshot.hamming

    def score(self, query: Float32[np.ndarray, " E"], ids: Int64[np.ndarray, " M"]) -> Float32[np.ndarray, " M"]:
        """Score some rows, see `FlatEngine.score`."""
        flat: FlatEngine = self.snapshot.flat
        return flat.score(query, ids)

    def search_among(self, rows: np.ndarray, k: int, masks: Masks | None) -> Ranking:
        """Give the k best of every query among all rows, or those of a mask for each segment that has any."""
        ledger = self.far.waiting(self.snapshot)
        few = masks is not None and sum(int(np.count_nonzero(mask)) for mask in masks) <= FEW
        if ledger.everything or few:
            return self.here.search_among(rows, k, masks)
        found = [self._there(row, k, masks, ledger) for row in rows]
        if ledger.runs:
            mine = self.here.search_among(rows, k, self._masks_of(ledger, masks))
            for number, (scores, ids) in enumerate(found):
                held = mine.ids[number] >= 0
                both = [
                    np.concatenate(pair)
                    for pair in ((scores, mine.scores[number][held]), (ids, mine.ids[number][held]))
                ]
                found[number] = best_of(both[0], both[1], k)
        return padded(found, k)

    def _there(self, row: np.ndarray, k: int, masks: Masks | None, ledger: Ledger) -> tuple[np.ndarray, np.ndarray]:
        expression = ""
        if self.where is not None:
            fields, own = self.snapshot.fields, self.snapshot.own_fields
            expression, left_out = superset(self.where, fields, own)
            if left_out:
                log.info("where: %s is tested here, on what the server finds", ", ".join(map(repr, left_out)))

        def keep(ids: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
            may: np.ndarray = self._may(ids, masks) & ~ledger.waiting(ids // VIEWS)
            return may

        table: Any = self.far.mirror.tables[self.kind]
        rescore = self.score if self.kind == "vectors" else None
        strong = not self.far.settled()
        found: tuple[np.ndarray, np.ndarray] = table.nearest(
            row, k, where=expression, keep=keep, rescore=rescore, strong=strong
        )
        return found

    def _may(self, ids: Int64[np.ndarray, " n"], masks: Masks | None) -> Bool[np.ndarray, " n"]:
        """Say which rows live in the commit, and are let through."""
        may = np.zeros(len(ids), dtype=bool)
        items, views = ids // VIEWS, ids % VIEWS
        held = [segment for segment in self.snapshot.segments if segment.first[-1]]
        for number, segment in enumerate(held):
            at = np.minimum(np.searchsorted(segment.ids, items), len(segment.ids) - 1)
            rows = segment.first[at] + views
            here = (segment.ids[at] == items) & segment.alive[at] & (rows < segment.first[at + 1])
            if masks is not None:
                here[here] = masks[number][rows[here]]
            may |= here
        return may

    def _masks_of(self, ledger: Ledger, masks: Masks | None) -> list[np.ndarray]:
        """Give the rows of the items that wait, as far as they are let through."""
        held = [segment for segment in self.snapshot.segments if segment.first[-1]]
        waits = [np.repeat(ledger.waiting(s.ids) & s.alive, np.diff(s.first)) for s in held]
        return waits if masks is None else [one & mask for one, mask in zip(waits, masks, strict=True)]
