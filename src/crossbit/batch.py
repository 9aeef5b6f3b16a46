"""What flows while training: encoded media, batches of pairs, and where in the training we are.

Letters used everywhere: B pairs, N items, Q queries, L tokens, D token width, E embedding width, K bits, C labels, k cut-off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from crossbit.errors import BatchError
from crossbit.features import Features, Modality

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Batch", "Encoded", "Modality", "Moment", "Views"]


@dataclass(frozen=True)
class Encoded:
    """Hold what an encoder says of B items of one modality.

    Args:
        modality: which kind of media the items are.
        tokens: grid cells, word pieces, frames or windows.
        mask: True where a token is real. A row without any True is a missing view.
        pooled: the encoder's own summary of each item.

    Raises:
        BatchError: the three do not agree in their number of items, tokens or widths.
    """

    modality: Modality
    tokens: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]
    pooled: Float[Tensor, "B P"]

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.mask.shape != self.tokens.shape[:2] or len(self.pooled) != len(self.tokens):
            raise BatchError(
                f"Encoded {self.modality}: tokens {tuple(self.tokens.shape)}, mask {tuple(self.mask.shape)}, pooled "
                f"{tuple(self.pooled.shape)}; expected (B, L, D), (B, L) and (B, D)"
            )
        if self.mask.dtype != torch.bool:
            raise BatchError(
                f"Encoded {self.modality}: mask has dtype {self.mask.dtype}, expected bool with True for real"
            )

    @classmethod
    def from_features(cls, features: Features, device: str | torch.device = "cpu") -> Encoded:
        """Copy NumPy features into float32 tensors on `device`."""
        return cls(
            features.modality,
            torch.as_tensor(features.tokens, dtype=torch.float32, device=device),
            torch.as_tensor(features.mask, device=device),
            torch.as_tensor(features.pooled, dtype=torch.float32, device=device),
        )

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: slice | Tensor) -> Encoded:
        return replace(self, tokens=self.tokens[rows], mask=self.mask[rows], pooled=self.pooled[rows])

    def to(self, device: str | torch.device) -> Encoded:
        """Move the three tensors to `device`."""
        return replace(self, tokens=self.tokens.to(device), mask=self.mask.to(device), pooled=self.pooled.to(device))


Views = tuple[Encoded, ...]
"""One item seen through one or more views: (image,), (video, audio), (text, translation)."""


@dataclass(frozen=True)
class Batch:
    """Hold B pairs: their views by name, who they are, and what is believed of them.

    Args:
        views: by the names that a method `reads`, such as "image" and "text"; each with B rows.
        item: which item a row shows. Rows of one item are positives of each other, never negatives.
        pair: the row's place in the training list, so that a strategy can remember single pairs.
        labels: 0/1 labels, where the data has them.
        correspondence: belief in each pair, 0..1, written by a strategy; None means all are believed.
        weight: weight of each pair in the mean of the losses; None means 1.
    """

    views: Mapping[str, Encoded]
    item: Int64[Tensor, " B"]
    pair: Int64[Tensor, " B"]
    labels: Float[Tensor, "B C"] | None = None
    correspondence: Float[Tensor, " B"] | None = None
    weight: Float[Tensor, " B"] | None = None

    def __post_init__(self) -> None:
        for name, value in self._rows():
            if len(value) != len(self.item):
                raise BatchError(f"Batch: {name} has {len(value)} rows, expected {len(self.item)} as in `item`")

    def _rows(self) -> Iterator[tuple[str, Any]]:
        yield from ((f"view {name!r}", view) for name, view in self.views.items())
        for name in ("pair", "labels", "correspondence", "weight"):
            if (value := getattr(self, name)) is not None:
                yield name, value

    def __getitem__(self, view: str) -> Encoded:
        if view not in self.views:
            raise BatchError(f"Batch: no view {view!r}, it has {sorted(self.views)}")
        return self.views[view]

    def __contains__(self, view: str) -> bool:
        return view in self.views

    def __len__(self) -> int:
        return len(self.item)

    def positives(self) -> Bool[Tensor, "B B"]:
        """Mark which rows show the same item, the diagonal included."""
        return self.item[:, None] == self.item[None, :]


@dataclass(frozen=True)
class Moment:
    """Say where training is: the stage's name and the progress 0..1 within it.

    Warm-ups and annealings read this instead of a step or epoch, so they do not change when the batch size does.
    """

    stage: str = "train"
    progress: float = 0.0
    epoch: int = 0
