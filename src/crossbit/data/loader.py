"""Batches of pairs from cached features: seeded, the same whatever happened before, one caption an item and pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from crossbit.batch import Batch, Encoded
from crossbit.data.cache import Widen
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError
from crossbit.features import Features, Modality
from crossbit.words import FUNCTION_WORDS, split_words

Tokens = bool | Collection[str]
"""Whether rows come with their tokens: all, none, or those of some modalities only."""


class FeatureRows(Protocol):
    """Cached features of one view: any number of rows, some of them taken at a time."""

    @property
    def modality(self) -> Modality:
        """Say what the rows are features of."""
        ...

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
        positives: batches also hold, as view "positive", another caption of each pair's item.
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
    positives: bool = False
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

    def with_word_labels(self, count: int) -> Pairs:
        """Label each item with those of the `count` most frequent content words that one of its captions holds.

        A content word has three letters or more, is no English function word, and stands in at most half of the captions.
        """
        words = [{word for word in split_words(text) if len(word) > 2} - FUNCTION_WORDS for text in self.texts]
        seen = Counter(word for some in words for word in some)
        chosen = sorted((w for w in seen if 2 * seen[w] <= len(words)), key=lambda w: (-seen[w], w))[:count]
        column = {word: place for place, word in enumerate(chosen)}
        table = np.zeros((len(self.items), len(chosen)), np.float32)
        for item, some in zip(self.item_of.tolist(), words, strict=True):
            table[item, [column[word] for word in some if word in column]] = 1
        return replace(self, labels=table, label_names=tuple(chosen))

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

    def batch(
        self, rows: Int64[np.ndarray, " B"], device: str | torch.device = "cpu", *, tokens: Tokens = True
    ) -> Batch:
        """Give the pairs of these caption rows; `tokens` as in `Method.reads_tokens`."""
        items = self.item_of[rows]
        views = {
            self.view: encoded(self.items, items, device, tokens=tokens),
            "text": encoded(self.captions, rows, device, tokens=tokens),
        }
        if self.positives:
            views["positive"] = self._positive(rows, device, tokens)
        return Batch(
            views,
            item=torch.from_numpy(self.concept_of[items]).to(device),
            pair=torch.from_numpy(rows.copy()).to(device),
            labels=None if self.labels is None else torch.from_numpy(self.labels[items]).to(device),
        )

    def _positive(self, rows: Int64[np.ndarray, " B"], device: str | torch.device, tokens: Tokens) -> Encoded:
        """Give another caption of each item; where it has none, a row without any real token."""
        others = self._others[rows]
        found = encoded(self.captions, np.where(others < 0, rows, others), device, tokens=tokens)
        there = torch.from_numpy(others >= 0).to(device)
        return replace(found, mask=found.mask & there[:, None])

    @cached_property
    def _others(self) -> Int64[np.ndarray, " M"]:
        """Give for each caption row the next one of its item with another text in its language, -1 for none."""
        others = np.full(len(self), -1, np.int64)
        for first, count in zip(self._first.tolist(), self._count.tolist(), strict=True):
            for row in range(first, first + count):
                following = (first + (row - first + step) % count for step in range(1, count))
                fits = (
                    at
                    for at in following
                    if self.texts[at] != self.texts[row] and self.languages[at] == self.languages[row]
                )
                others[row] = next(fits, -1)
        return others

    def expect(self, rows: Int64[np.ndarray, " B"], tokens: Tokens = True) -> None:
        """Say which caption rows the next batch has, so that they are read from the disk while this one is used."""
        for features, wanted in ((self.items, self.item_of[rows]), (self.captions, rows)):
            if _with(features, tokens):
                features.expect(wanted)

    def sample(self, limit: int = 2048, seed: int = 0, *, tokens: Tokens = True) -> Mapping[str, Encoded]:
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
    def modality(self) -> Modality:
        """Say what the rows are features of."""
        return self.features.modality

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


@dataclass(frozen=True)
class Chosen:
    """Some rows of other features, in an order of their own."""

    features: FeatureRows
    rows: Int64[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def modality(self) -> Modality:
        """Say what the rows are features of."""
        return self.features.modality

    @property
    def pooled(self) -> np.ndarray:
        """Give the pooled vectors."""
        found: np.ndarray = self.features.pooled[self.rows]
        return found

    def take(self, rows: np.ndarray, *, tokens: bool = True, widen: Widen | None = None) -> Features:
        """Give some of the rows."""
        return self.features.take(self.rows[rows], tokens=tokens, widen=widen)

    def expect(self, rows: np.ndarray) -> None:
        """Be told of some of the rows."""
        self.features.expect(self.rows[rows])


def encoded(
    features: FeatureRows, rows: np.ndarray, device: str | torch.device = "cpu", *, tokens: Tokens = True
) -> Encoded:
    """Give some rows as float32 tensors."""
    return Encoded.from_features(features.take(rows, tokens=_with(features, tokens), widen=_widen), device)


def _with(features: FeatureRows, tokens: Tokens) -> bool:
    return tokens if isinstance(tokens, bool) else features.modality in tokens


def _widen(half: np.ndarray, into: np.ndarray) -> None:
    torch.from_numpy(into).copy_(torch.from_numpy(half))  # ten times as fast as NumPy


def _is_prefix(mask: np.ndarray) -> bool:
    return bool(np.all(mask[:, :-1] >= mask[:, 1:]))
