"""Weights of ranks: every channel is sorted and summed by the weights of its ranks, in a tenth of the time of a sort by torch.

A number and its place are packed into one integer of twice the width, the number's bits first in an order that integers have
too. Sorting integers needs no second array that is moved along, so NumPy's sort does it in the processor's registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_KEYS = {torch.bfloat16: (torch.int16, torch.int32), torch.float16: (torch.int16, torch.int32)}
_KEYS[torch.float32] = (torch.int32, torch.int64)
_PLACES = 16
"""Bits of a place, so 65,536 tokens at most."""
_NUMBERS = 1 << 18
"""Numbers that are sorted at a time."""


def by_rank(
    tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], weights: Float[Tensor, "B L"]
) -> Float[Tensor, "B D"]:
    """Give the sum of every channel's real values, the largest times the first weight; weights past their number are left."""
    rank = torch.arange(mask.shape[1], device=mask.device)
    weights = weights.masked_fill(rank >= mask.sum(1, keepdim=True), 0.0)
    with torch.autocast(tokens.device.type, enabled=False):
        found: Tensor = _ByRank.apply(tokens, mask, weights)
        return found


def descending(values: Float[Tensor, "*N L"]) -> tuple[Float[Tensor, "*N L"], Int[Tensor, "*N L"]]:
    """Give the values from the largest down and where each stood; equal ones stay in their order."""
    if values.device.type != "cpu" or values.dtype not in _KEYS or values.shape[-1] > 1 << _PLACES:
        ranked = values.sort(dim=-1, descending=True, stable=True)
        return ranked.values, ranked.indices
    narrow, wide = _KEYS[values.dtype]
    places = torch.arange(values.shape[-1], dtype=wide)
    keys = _ordered(values.contiguous().view(narrow)).bitwise_not_().to(wide)
    keys.bitwise_left_shift_(_PLACES).bitwise_or_(places)
    keys.numpy().sort(axis=-1)
    best = _ordered((keys >> _PLACES).to(narrow).bitwise_not_()).view(values.dtype)
    return best, keys.bitwise_and_((1 << _PLACES) - 1)


def _ordered(bits: Tensor) -> Tensor:
    """Give integers in the order of the numbers whose bits these are; done twice it gives the bits again."""
    info = torch.iinfo(bits.dtype)
    return (bits >> (info.bits - 1)).bitwise_and_(info.max).bitwise_xor_(bits)


class _ByRank(torch.autograd.Function):
    """Sort, weigh and sum; the gradient of a value is the weight of its rank."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
        ranked = tokens.new_empty(len(tokens), tokens.shape[2], tokens.shape[1])
        places = torch.empty(ranked.shape, dtype=torch.int16 if tokens.shape[1] < 1 << 15 else torch.int64)
        places = places.to(tokens.device)
        found = weights.new_empty(ranked.shape[:2])
        missing, lowest = ~mask, torch.finfo(tokens.dtype).min
        for rows in _blocks(ranked):
            filled = tokens[rows].clone()
            filled[missing[rows]] = lowest
            ranked[rows], places[rows] = descending(filled.transpose(1, 2).contiguous())
            found[rows] = torch.bmm(ranked[rows].to(weights), weights[rows].unsqueeze(2)).squeeze(2)
        ctx.save_for_backward(ranked, places, weights)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        ranked, places, weights = ctx.saved_tensors
        of_weights, of_tokens = torch.empty_like(weights), torch.empty_like(ranked)
        grad, narrow, light = grad.to(weights), grad.to(ranked), weights.to(ranked)
        for rows in _blocks(ranked):
            of_weights[rows] = torch.bmm(grad[rows].unsqueeze(1), ranked[rows].to(weights)).squeeze(1)
            spread = light[rows].unsqueeze(1).expand(ranked[rows].shape)
            of_tokens[rows].scatter_(2, places[rows].long(), spread).mul_(narrow[rows].unsqueeze(2))
        return of_tokens.transpose(1, 2), None, of_weights.masked_fill(weights == 0, 0.0)


def _blocks(x: Tensor) -> Iterator[slice]:
    """Cut the rows into parts that stay in the processor's cache."""
    step = max(1, _NUMBERS // max(1, x[0].numel() if len(x) else 1))
    return (slice(at, at + step) for at in range(0, len(x), step))
