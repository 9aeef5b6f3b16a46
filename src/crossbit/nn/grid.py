"""Grids: the cells of a picture averaged to fewer, and weights of the fewer spread over the many again."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


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


def averaged(
    tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], fewer: int
) -> tuple[Float[Tensor, "B M D"], Bool[Tensor, "B M"]]:
    """Average a full square grid down to `fewer` x `fewer` cells; what is no such grid, or not larger, stays as it is."""
    side = grid_side(mask) if fewer else 0
    if side <= fewer:
        return tokens, mask
    coarse = cells(side, fewer).to(tokens)
    return coarse @ tokens, mask[:, :1].expand(-1, len(coarse))
