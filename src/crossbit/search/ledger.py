"""Ledger: what a server is known to have of a collection, kept beside the collection's files.

It is written before a commit and again when the server has what changed. So whatever happens in between, it names at least
those items whose rows on the server may not be those of the commit.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from crossbit.errors import CollectionError
from crossbit.search.durable import read_json, write_json
from crossbit.search.head import Head

FILE = "milvus.json"


@dataclass(frozen=True)
class Ledger:
    """What waits to be brought to a server.

    Args:
        owner: marks the tables on the server as those of this collection.
        states: of the last commit that was noted, and of the one before, which is the last one if that failed.
        everything: nothing is known of what the server has.
        runs: items that wait, as runs `[first, last]`.
    """

    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    states: tuple[str, ...] = ()
    everything: bool = True
    runs: tuple[tuple[int, int], ...] = ()

    def waits_for(self, head: Head) -> Ledger:
        """Give the ledger as it is to be read for a commit: of one that was not noted nothing is known."""
        return self if self.everything or state_of(head) in self.states else replace(self, everything=True)

    def noting(self, before: Head, after: Head, items: Iterable[int]) -> Ledger:
        """Give the ledger for a commit that is about to be made."""
        known = self.waits_for(before)
        waiting = np.union1d(known.items, np.fromiter(items, np.int64))
        return replace(known, states=(state_of(before), state_of(after)), runs=_runs(waiting))

    def without(self, items: Int64[np.ndarray, " n"]) -> Ledger:
        """Give the ledger once a server has some items."""
        return replace(self, runs=_runs(np.setdiff1d(self.items, items)))

    @property
    def items(self) -> Int64[np.ndarray, " n"]:
        """Give the items that wait, ascending."""
        return np.concatenate([np.empty(0, np.int64), *(np.arange(a, b + 1, dtype=np.int64) for a, b in self.runs)])

    def waiting(self, items: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Say which of some items wait."""
        if not self.runs:
            return np.full(len(items), self.everything)
        firsts, lasts = np.array(self.runs, dtype=np.int64).T
        at = np.searchsorted(firsts, items, side="right") - 1
        within: np.ndarray = (at >= 0) & (items <= lasts[at])
        return within | self.everything


def state_of(head: Head) -> str:
    """Give a digest of the segments of a commit: another one means that items may have changed."""
    named = "\n".join(f"{card.name} {card.dead_file}" for card in head.segments)
    return hashlib.sha256(f"{head.place}\n{named}".encode()).hexdigest()[:16] if head.segments else "empty"


def read_ledger(folder: Path) -> Ledger:
    """Read the ledger; where it is missing or damaged nothing is known of what a server has."""
    try:
        kept = read_json(folder / FILE)
        runs = tuple((int(a), int(b)) for a, b in kept["runs"])
        return Ledger(str(kept["owner"]), tuple(kept["states"]), bool(kept["everything"]), runs)
    except (FileNotFoundError, CollectionError, KeyError, TypeError, ValueError):
        return Ledger()


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """Replace the ledger in one step."""
    write_json(folder / FILE, asdict(ledger))


def _runs(items: Int64[np.ndarray, " n"]) -> tuple[tuple[int, int], ...]:
    if not len(items):
        return ()
    ends = np.flatnonzero(np.diff(items) != 1)
    firsts, lasts = items[np.r_[0, ends + 1]], items[np.r_[ends, len(items) - 1]]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))
