"""Grids: the cells of a picture averaged to fewer, and weights of the fewer spread over the many again."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from crossbit.batch import Encoded


def grid_side(mask: Bool[Tensor, "B L"]) -> int:
    """Give the side of the square that the tokens fill, 0 where they are no square or some are missing."""
    side = math.isqrt(mask.shape[1])
    return side if side * side == mask.shape[1] and bool(mask.all()) else 0


def cells(side: int, fewer: int) -> Float[Tensor, "M L"]:
    """Give the weight of each of `side` x `side` cells in each of `fewer` x `fewer`: shares of area, summing to 1."""
    edges = torch.linspace(0, side, fewer + 1, dtype=torch.float64)
    at = torch.arange(side, dtype=torch.float64)
    overlap = (torch.minimum(edges[1:, None], at[None] + 1) - torch.maximum(edges[:-1, None], at[None])).clamp(min=0)
    band = overlap / overlap.sum(1, keepdim=True)
    return torch.kron(band, band).float()


def spread(view: Encoded, fewer: int) -> Float[Tensor, "M L"] | None:
    """Give the weight of each cell of a picture's full square grid in each of the fewer; None where nothing is averaged."""
    side = grid_side(view.mask) if fewer and view.modality == "image" else 0
    return cells(side, fewer).to(view.mask.device) if side > fewer else None


def coarser(view: Encoded, fewer: int) -> Encoded:
    """Average a picture's full square grid down to `fewer` x `fewer` cells; what is no such grid, or not larger, stays."""
    coarse = spread(view, fewer)
    if coarse is None:
        return view
    return replace(view, tokens=coarse.to(view.tokens) @ view.tokens, mask=view.mask[:, :1].expand(-1, len(coarse)))


def on_all_cells(
    weights: Float[Tensor, "B Ma Mb"], a: Float[Tensor, "Ma La"] | None, b: Float[Tensor, "Mb Lb"] | None
) -> Float[Tensor, "B La Lb"]:
    """Give what the cells look at by what the fewer cells look at, of either side that was averaged.

    A cell looks where those look that it is part of; what is looked at shares its weight out to its parts.
    """
    if a is not None:
        weights = (a / a.sum(0)).T.to(weights) @ weights
    return weights if b is None else weights @ b.to(weights)
