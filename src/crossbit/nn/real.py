"""What is done to every token by itself, done to the real ones alone: padding and tokens that are left out cost nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

_BLOCK = 1 << 18
"""Numbers that `first` is given at a time: they stay in the processor's cache."""

PerToken = Callable[[Float[Tensor, "N D"], Int64[Tensor, " N"]], Tensor]
"""Takes N tokens and the row that each is of."""


def on_real(
    first: PerToken,
    work: Callable[[Float[Tensor, "N D"]], Float[Tensor, "N E"]],
    tokens: Float[Tensor, "B L D"],
    mask: Bool[Tensor, "B L"],
) -> Float[Tensor, "B L E"]:
    """Give what `first` and then `work` make of the real tokens, in their places, and zeros in all others.

    Args:
        first: has nothing to learn; what it gives comes in the precision that autocast multiplies in.
        work: what is learned.
        tokens: of B rows.
        mask: which of them are real.
    """
    (count, length), places = mask.shape, mask.flatten().nonzero().squeeze(1)
    flat = tokens.reshape(count * length, -1)
    rows = torch.div(places, length, rounding_mode="floor")
    if tokens.requires_grad:
        given = narrowed(first(flat.index_select(0, places), rows))
    else:
        step, given = max(1, _BLOCK // max(1, flat.shape[1])), narrowed(flat.new_empty(len(places), 0))
        given = given.new_empty(len(places), flat.shape[1])
        for at in range(0, len(places), step):
            part = slice(at, at + step)
            given[part] = first(flat.index_select(0, places[part]), rows[part])
    found = work(given)
    if len(places) < count * length:
        found = found.new_zeros(count * length, found.shape[1]).index_copy(0, places, found)
    return found.view(count, length, -1)


def ready_of(standardise: nn.Module, kept: Float[Tensor, "B D"] | None) -> PerToken:
    """Give what standardises tokens and multiplies all tokens of a row by what is kept of its channels."""
    if kept is None:
        return lambda flat, rows: standardise(flat)
    return lambda flat, rows: standardise(flat) * kept.index_select(0, rows)


def channels_kept(tokens: Float[Tensor, "B L D"], dropout: float) -> Float[Tensor, "B D"] | None:
    """Draw which channels of each row a training step keeps, scaled as dropout does; None where all are."""
    return F.dropout(torch.ones_like(tokens[:, 0]), dropout) if dropout else None


def kept_of(pooled: Float[Tensor, "B P"], kept: Float[Tensor, "B D"] | None, dropout: float) -> Float[Tensor, "B P"]:
    """Leave out the channels of the pooled vectors that their tokens lost, or others where the two do not have the same ones.

    A channel that one path keeps and another loses is learned from twice and guarded by neither: that costs 8 points of rsum
    of 160 on picto's validation split.
    """
    if kept is None:
        return pooled
    return pooled * kept if kept.shape == pooled.shape else F.dropout(pooled, dropout)


def narrowed(x: Tensor) -> Tensor:
    """Give it in the precision that autocast multiplies in."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) and x.dtype == torch.float32 else x
