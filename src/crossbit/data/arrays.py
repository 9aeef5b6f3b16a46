"""Features that lie in arrays beside the data, such as the regions of a SCAN folder: taken row by row, never all at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from crossbit.data.cache import CachedFeatures, FeatureCache, Widen
from crossbit.data.formats import precomp
from crossbit.data.manifest import Item, Manifest
from crossbit.features import Features

if TYPE_CHECKING:
    from crossbit.encoders.base import Encoder

_AT_ONCE = 512
_ENCODER = "regions"
"""The family of encoders that reads arrays (`encoders/regions.py`)."""


def holds_arrays(manifest: Manifest) -> bool:
    """Say whether the items are rows of arrays and no media."""
    return bool(len(manifest)) and all(item.path.endswith(".npy") and "row" in item.metadata for item in manifest)


def media_of(manifest: Manifest, items: Sequence[Item] | None = None) -> list[Any]:
    """Give what the image encoder reads of some items, or of all: files, or rows of memory-mapped arrays.

    Raises:
        ManifestError: an array is damaged, or has fewer rows.
    """
    items = manifest.items if items is None else items
    if not holds_arrays(manifest):
        return [manifest.file(item) for item in items]
    return precomp.mapped(manifest, items)


def encoder_of(manifest: Manifest) -> str | None:
    """Name the encoder of items that are rows of arrays, None where they are media."""
    if not holds_arrays(manifest):
        return None
    return f"{_ENCODER}:{precomp.mapped(manifest, manifest.items[:1])[0].shape[-1]}"


def features_of(
    encoder: Any, media: Sequence[Any], *, progress: bool = True, batch_size: int = 32
) -> CachedFeatures | ArrayFeatures:
    """Give the features of media from the cache, encoding what it lacks; those of arrays are the arrays."""
    if getattr(encoder, "reads_arrays", False):
        return ArrayFeatures(encoder, media)
    return FeatureCache(encoder).get_or_encode(media, progress=progress, batch_size=batch_size)


class ArrayFeatures:
    """Features of N items that are rows of arrays; a `FeatureRows`."""

    modality: Literal["image"] = "image"

    def __init__(self, encoder: Encoder, rows: Sequence[np.ndarray]) -> None:
        self.encoder, self.rows = encoder, rows
        self.width = encoder.describe().dim

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def pooled(self) -> np.ndarray:
        """Give the mean of each item's regions; read once, some hundred items at a time."""
        starts = range(0, len(self), _AT_ONCE)
        parts = [self.take(np.arange(at, min(at + _AT_ONCE, len(self)))).pooled for at in starts]
        return np.concatenate([np.empty((0, self.width), np.float32), *parts])

    def take(self, rows: np.ndarray, *, tokens: bool = True, widen: Widen | None = None) -> Features:
        """Give some rows as float32, padded to the longest of them; without `tokens` L is 0."""
        rows = np.arange(len(self))[rows]
        if not tokens:
            empty = np.zeros((len(rows), 0, self.width), np.float32)
            return Features("image", empty, np.zeros((len(rows), 0), bool), self.pooled[rows])
        return self.encoder.encode(self.encoder.prepare([self.rows[row] for row in rows.tolist()]))

    def expect(self, rows: np.ndarray) -> None:
        """Do nothing: the system reads arrays ahead by itself."""
