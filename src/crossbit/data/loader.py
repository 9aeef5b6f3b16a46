"""Batches of pairs from cached features: seeded, the same whatever happened before, one caption an item and pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from crossbit.batch import Batch, Encoded
from crossbit.data.cache import Widen
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError
from crossbit.features import Features


class FeatureRows(Protocol):
    """Cached features of one view: any number of rows, some of them taken at a time."""

    def __len__(self) -> int:
        """Count the rows."""
        ...

    @property
    def pooled(self) -> np.ndarray:
        """Give the pooled vectors of all rows (N, P)."""
        ...

    def take(self, rows: np.ndarray, *, tokens: bool = True, widen: Widen | None = None) -> Features:
        """Give some rows, padded to the longest of them; without `tokens` L is 0; `widen` makes float32 of float16."""
        ...

    def expect(self, rows: np.ndarray) -> None:
        """Be told of rows that will be taken with their tokens."""
        ...


@dataclass(frozen=True)
class Pairs:
    """Hold all pairs of a manifest: which item row and which caption row belong together.

    Args:
        items: features of the items, in the manifest's order.
        captions: features of all captions, item after item.
        item_of: the item row of each caption row, ascending.
        concept_of: concept number of each item row; items of one concept are never each other's negatives.
        texts: the captions themselves.
        languages: the language of each caption row.
        view: the name under which items enter a batch.
        labels: 0/1 labels of each item row; None where the data has none.
        label_names: what the columns of `labels` mean.
    """

    items: FeatureRows
    captions: FeatureRows
    item_of: Int64[np.ndarray, " M"]
    concept_of: Int64[np.ndarray, " N"]
    texts: Sequence[str]
    languages: Sequence[str]
    view: str = "image"
    labels: Float32[np.ndarray, "N C"] | None = None
    label_names: tuple[str, ...] = ()
    _first: Int64[np.ndarray, " N"] = field(init=False, repr=False)
    _count: Int64[np.ndarray, " N"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        count = np.bincount(self.item_of, minlength=len(self.items)).astype(np.int64)
        if (without := int((count == 0).sum())) > 0:
            raise ManifestError(
                f"training data: {without} of {len(self.items)} items have no caption, expected one each"
            )
        object.__setattr__(self, "_count", count)
        object.__setattr__(self, "_first", np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64))

    @classmethod
    def of(cls, manifest: Manifest, items: FeatureRows, captions: FeatureRows, view: str = "image") -> Pairs:
        """Join a manifest with the features of its items and of its captions, both in its order."""
        labels, label_names = label_table(manifest)
        concepts: dict[str, int] = {}
        numbers = [concepts.setdefault(item.concept or item.id, len(concepts)) for item in manifest]
        rows = [(row, caption) for row, item in enumerate(manifest) for caption in item.captions]
        return cls(
            items,
            captions,
            np.array([row for row, _ in rows], dtype=np.int64),
            np.array(numbers, dtype=np.int64),
            [caption.text for _, caption in rows],
            [caption.lang for _, caption in rows],
            view,
            labels,
            label_names,
        )

    def __len__(self) -> int:
        return len(self.item_of)

    def epoch(
        self, epoch: int, seed: int, batch_size: int, passes: int = 1, start: int = 0
    ) -> Iterator[Int64[np.ndarray, " B"]]:
        """Give the caption rows of each batch of one epoch, from batch `start` on.

        An epoch passes over every item `passes` times, each time with one of its captions drawn evenly, so that a batch
        rarely holds an item twice. The order depends on seed and epoch alone: a resumed run continues with the same batches.
        The last, smaller batch of an epoch is left out unless it is the only one.
        """
        draw = np.random.default_rng([seed, epoch])
        count = len(self.items)
        items = np.concatenate([draw.permutation(count) for _ in range(passes)])
        rows = self._first[items] + (draw.random(len(items)) * self._count[items]).astype(np.int64)
        size = min(batch_size, len(rows))
        for first in range(start * size, len(rows) - size + 1, size):
            yield rows[first : first + size]

    def batches_per_epoch(self, batch_size: int, passes: int = 1) -> int:
        """Count the batches that `epoch` gives."""
        total = len(self.items) * passes
        return max(1, total // min(batch_size, total))

    def batch(self, rows: Int64[np.ndarray, " B"], device: str | torch.device = "cpu", *, tokens: bool = True) -> Batch:
        """Give the pairs of these caption rows; without `tokens` for a method that reads the pooled vectors alone."""
        items = self.item_of[rows]
        return Batch(
            {
                self.view: encoded(self.items, items, device, tokens=tokens),
                "text": encoded(self.captions, rows, device, tokens=tokens),
            },
            item=torch.from_numpy(self.concept_of[items]).to(device),
            pair=torch.from_numpy(rows.copy()).to(device),
            labels=None if self.labels is None else torch.from_numpy(self.labels[items]).to(device),
        )

    def expect(self, rows: Int64[np.ndarray, " B"]) -> None:
        """Say which caption rows the next batch has, so that they are read from the disk while this one is used."""
        self.items.expect(self.item_of[rows])
        self.captions.expect(rows)

    def sample(self, limit: int = 2048, seed: int = 0, *, tokens: bool = True) -> Mapping[str, Encoded]:
        """Give up to `limit` items and as many captions, drawn apart from each other."""
        draw = np.random.default_rng(seed)
        items = np.sort(draw.permutation(len(self.items))[:limit])
        captions = np.sort(draw.permutation(len(self))[:limit])
        return {
            self.view: encoded(self.items, items, tokens=tokens),
            "text": encoded(self.captions, captions, tokens=tokens),
        }

    def pooled(self, limit: int = 50_000, seed: int = 0) -> Mapping[str, Tensor]:
        """Give the pooled rows of up to `limit` pairs: row i of the items belongs to row i of the captions."""
        rows = self._drawn(limit, seed)
        return {
            self.view: torch.from_numpy(self.items.pooled[self.item_of[rows]].astype(np.float32)),
            "text": torch.from_numpy(self.captions.pooled[rows].astype(np.float32)),
        }

    def pooled_labels(self, limit: int = 50_000, seed: int = 0) -> Float32[np.ndarray, "M C"] | None:
        """Give the labels of the pairs that `pooled` gives."""
        return None if self.labels is None else self.labels[self.item_of[self._drawn(limit, seed)]]

    def _drawn(self, limit: int, seed: int) -> Int64[np.ndarray, " M"]:
        return np.sort(np.random.default_rng(seed).permutation(len(self))[:limit])


def label_table(manifest: Manifest) -> tuple[Float32[np.ndarray, "N C"] | None, tuple[str, ...]]:
    """Give the labels of a manifest's items as a 0/1 table, and the names of its columns in order."""
    names = tuple(sorted({label for item in manifest for label in item.labels}))
    if not names:
        return None, ()
    column = {name: place for place, name in enumerate(names)}
    table = np.zeros((len(manifest), len(names)), np.float32)
    for row, item in enumerate(manifest):
        table[row, [column[label] for label in item.labels]] = 1
    return table, names


@dataclass(frozen=True)
class RowsInMemory:
    """Features that are small enough to be kept whole; the plainest `FeatureRows`."""

    features: Features

    def __len__(self) -> int:
        return len(self.features)

    @property
    def pooled(self) -> np.ndarray:
        """Give the pooled vectors."""
        return self.features.pooled

    def take(self, rows: np.ndarray, *, tokens: bool = True, widen: Widen | None = None) -> Features:
        """Give some rows, cut to the longest of them, in the precision that they have."""
        if not tokens:
            kept = self.features
            return Features(kept.modality, kept.tokens[rows, :0], kept.mask[rows, :0], kept.pooled[rows])
        taken = self.features[rows]
        longest = max(1, int(taken.mask.sum(1).max())) if _is_prefix(taken.mask) else taken.mask.shape[1]
        return Features(taken.modality, taken.tokens[:, :longest], taken.mask[:, :longest], taken.pooled)

    def expect(self, rows: np.ndarray) -> None:
        """Do nothing: they are here."""


def encoded(
    features: FeatureRows, rows: np.ndarray, device: str | torch.device = "cpu", *, tokens: bool = True
) -> Encoded:
    """Give some rows as float32 tensors."""
    return Encoded.from_features(features.take(rows, tokens=tokens, widen=_widen), device)


def _widen(half: np.ndarray, into: np.ndarray) -> None:
    torch.from_numpy(into).copy_(torch.from_numpy(half))  # ten times as fast as NumPy


def _is_prefix(mask: np.ndarray) -> bool:
    return bool(np.all(mask[:, :-1] >= mask[:, 1:]))
