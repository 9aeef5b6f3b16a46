"""Who is relevant to whom, without a Q x N table: lists for each query, or labels compared block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from crossbit.errors import MetricError


@runtime_checkable
class Relevance(Protocol):
    """Says which items are relevant to a run of queries."""

    @property
    def queries(self) -> int:
        """Give the number of queries."""
        ...

    @property
    def gallery(self) -> int:
        """Give the number of items that are searched."""
        ...

    def block(self, start: int, stop: int) -> Relevant:
        """Give the lists of the queries from `start` to before `stop`."""
        ...


@dataclass(frozen=True)
class Relevant:
    """List the relevant items of every query, one list behind the other.

    Any number of items can be relevant, none too: nothing is laid out for "five captions".

    Args:
        offsets: the items of query q stand from `offsets[q]` to before `offsets[q + 1]`.
        items: row numbers in the gallery, ascending within a query, each once.
        gallery: how many items are searched.

    Raises:
        MetricError: an item does not exist or stands twice, or the offsets do not fit.
    """

    offsets: Int64[np.ndarray, " P"]
    items: Int64[np.ndarray, " M"]
    gallery: int

    def __post_init__(self) -> None:
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != len(self.items):
            raise MetricError(f"Relevant: offsets do not run from 0 to {len(self.items)}, the number of listed items")
        if (np.diff(self.offsets) < 0).any():
            raise MetricError("Relevant: offsets fall, expected them to rise")
        if len(self.items) and (self.items.min() < 0 or self.items.max() >= self.gallery):
            raise MetricError(f"Relevant: an item is not one of the rows 0 to {self.gallery - 1}")
        rises = np.diff(self.items) > 0
        new_query = np.zeros(len(self.items) + 1, bool)
        new_query[self.offsets] = True
        if not (rises | new_query[1:-1]).all():
            raise MetricError("Relevant: items of a query do not rise, expected each once and in ascending order")

    @property
    def queries(self) -> int:
        """Give the number of queries."""
        return len(self.offsets) - 1

    @cached_property
    def counts(self) -> Int64[np.ndarray, " Q"]:
        """Give the number of relevant items of each query."""
        return np.diff(self.offsets)

    @cached_property
    def query_of(self) -> Int64[np.ndarray, " M"]:
        """Give the query that each listed item belongs to."""
        return np.repeat(np.arange(self.queries), self.counts)

    def block(self, start: int, stop: int) -> Relevant:
        """Give the lists of the queries from `start` to before `stop`."""
        offsets = self.offsets[start : stop + 1]
        return Relevant(offsets - offsets[0], self.items[offsets[0] : offsets[-1]], self.gallery)

    def select(self, queries: Shaped[np.ndarray, " S"]) -> Relevant:
        """Give the lists of some queries (row numbers or a mask), in the order named."""
        chosen = np.arange(self.queries)[queries]
        return Relevant.from_lists([self.items[self.offsets[q] : self.offsets[q + 1]] for q in chosen], self.gallery)

    def turned(self) -> Relevant:
        """Swap sides: items ask, queries are searched."""
        return Relevant.from_pairs(self.items, self.query_of, self.gallery, self.queries)

    @classmethod
    def from_pairs(
        cls, queries: Shaped[np.ndarray, " M"], items: Shaped[np.ndarray, " M"], query_count: int, gallery: int
    ) -> Relevant:
        """Take (query, item) pairs in any order; a pair named twice counts once."""
        keys = np.unique(np.asarray(queries, np.int64) * max(gallery, 1) + np.asarray(items, np.int64))
        rows, columns = np.divmod(keys, max(gallery, 1))
        return cls(np.searchsorted(rows, np.arange(query_count + 1)).astype(np.int64), columns, gallery)

    @classmethod
    def from_lists(cls, lists: Sequence[Any], gallery: int) -> Relevant:
        """Take one list of item numbers for each query."""
        counts = np.array([len(one) for one in lists], np.int64)
        items = np.concatenate([np.asarray(one, np.int64) for one in lists] or [np.empty(0, np.int64)])
        return cls.from_pairs(np.repeat(np.arange(len(lists)), counts), items, len(lists), gallery)

    @classmethod
    def from_owner(cls, owner: Shaped[np.ndarray, " Q"], gallery: int) -> Relevant:
        """Take the one relevant item of each query, as captions have their one image.

        Raises:
            MetricError: an owner is not a row of the gallery.
        """
        return cls(np.arange(len(owner) + 1), np.asarray(owner, np.int64), gallery)

    @classmethod
    def from_keys(cls, query_keys: Sequence[Any] | np.ndarray, item_keys: Sequence[Any] | np.ndarray) -> Relevant:
        """Call an item relevant where its key equals the query's: same item, same concept."""
        names, numbers = np.unique(np.concatenate([np.asarray(query_keys), np.asarray(item_keys)]), return_inverse=True)
        asked, searched = numbers[: len(query_keys)], numbers[len(query_keys) :]
        order = np.argsort(searched, kind="stable")
        bounds = np.searchsorted(searched[order], np.arange(len(names) + 1))
        return cls.from_lists([order[bounds[key] : bounds[key + 1]] for key in asked], len(item_keys))

    @classmethod
    def from_dense(cls, table: Bool[np.ndarray, "Q N"]) -> Relevant:
        """Take a small table of booleans."""
        counts = np.count_nonzero(table, axis=1)
        places = np.flatnonzero(table)  # in one dimension NumPy finds them five times faster
        starts = np.repeat(np.arange(len(table)) * table.shape[1], counts)
        return cls(np.concatenate([[0], np.cumsum(counts)]), places - starts, table.shape[1])


@dataclass(frozen=True)
class SharedLabels:
    """Call an item relevant where it shares at least one label with the query, as MIRFlickr and NUS-WIDE do.

    A third of such a gallery can be relevant, so the lists are made for one block of queries at a time.
    """

    query_labels: Shaped[np.ndarray, "Q C"]
    item_labels: Shaped[np.ndarray, "N C"]

    @property
    def queries(self) -> int:
        """Give the number of queries."""
        return len(self.query_labels)

    @property
    def gallery(self) -> int:
        """Give the number of items that are searched."""
        return len(self.item_labels)

    @cached_property
    def _items(self) -> np.ndarray:
        return (self.item_labels > 0).astype(np.float32).T

    def block(self, start: int, stop: int) -> Relevant:
        """Give the lists of the queries from `start` to before `stop`."""
        asked = (self.query_labels[start:stop] > 0).astype(np.float32)
        return Relevant.from_dense(asked @ self._items > 0)


def as_relevance(relevant: Any, queries: int | None, gallery: int) -> Relevance:
    """Accept relevance in its usual forms.

    Args:
        relevant: `Relevant`, `SharedLabels`, a SciPy CSR matrix, a table of booleans, or the one relevant item of each query.
        queries: how many queries there are, where that is known.
        gallery: how many items are searched.

    Raises:
        MetricError: another form, or another number of queries or items.
    """
    if isinstance(relevant, np.ndarray) and relevant.ndim == 2 and relevant.dtype == np.bool_:
        found: Relevance = Relevant.from_dense(relevant)
    elif isinstance(relevant, np.ndarray) and relevant.ndim == 1 and np.issubdtype(relevant.dtype, np.integer):
        found = Relevant.from_owner(relevant, gallery)
    elif hasattr(relevant, "indptr") and hasattr(relevant, "indices"):
        matrix = relevant.tocsr(copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        matrix.sort_indices()
        found = Relevant(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.shape[1])
    elif isinstance(relevant, (Relevant, SharedLabels)):
        found = relevant
    else:
        raise MetricError(
            f"relevant: found {type(relevant).__name__}, expected Relevant, SharedLabels, a CSR matrix, "
            "a boolean (Q, N) table or one item number for each query"
        )
    if found.gallery != gallery or queries not in (None, found.queries):
        raise MetricError(
            f"relevant: made for {found.queries} queries and {found.gallery} items, expected {queries} and {gallery}"
        )
    return found
