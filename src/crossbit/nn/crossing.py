"""Attention across modalities, as SCAN has it: what each token of one side sees in the tokens of the other.

The two axes of the affinity are easily confused: it is normalised over the tokens that ask and its softmax runs over the tokens
that are looked at. All pairs with gradients are in `pairwise`; the plain formulas of both, in tests/nn/plain_crossing.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

FAR = -1e4


def own_looks(
    a: Float[Tensor, "B La D"],
    mask_a: Bool[Tensor, "B La"],
    b: Float[Tensor, "B Lb D"],
    mask_b: Bool[Tensor, "B Lb"],
    inverse_temperature: float,
) -> Float[Tensor, "B La Lb"]:
    """Give for each token of `a` the weights of the tokens of the `b` at its own place; they sum to 1 over the real ones.

    Source: SCAN (Lee and others, ECCV 2018), equations 1 and 2 (text to image: `a` are the words): negative affinities are
        shrunk to a tenth, each token of `b` is normalised over the tokens of `a`, then the softmax over `b`.
    """
    real_a, real_b = mask_a[:, :, None], mask_b[:, None, :]
    scores = F.leaky_relu(a @ b.transpose(1, 2), 0.1).masked_fill(~real_a, 0.0)
    scores = scores / scores.norm(dim=-2, keepdim=True).clamp(min=1e-8)
    return torch.softmax((scores * inverse_temperature).masked_fill(~real_b, FAR), dim=-1) * real_b


def cosines_without_gradient(
    a: Float[Tensor, "Na La D"],
    mask_a: Bool[Tensor, "Na La"],
    b: Float[Tensor, "Nb Lb D"],
    mask_b: Bool[Tensor, "Nb Lb"],
    gram: Float[Tensor, "Nb Lb Lb"],
    inverse_temperature: float,
) -> Float[Tensor, "Na Nb La"]:
    """Give the cosine of each token of `a` with what it sees in each `b`, weighed as in `own_looks`; in place.

    What it sees is never formed: with weights w over tokens v_j it is s = sum w_j v_j, so a . s = sum w_j (a . v_j), which the
    affinity holds already, and |s|^2 = w G w with the Gram matrix G of the tokens: Lb^2 numbers in place of Lb x D.

    Args:
        a: tokens that ask.
        mask_a: which of them are real.
        b: tokens that are looked at.
        mask_b: which of them are real.
        gram: `b @ b.transpose(1, 2)`, made once for many calls.
        inverse_temperature: of the attention.
    """
    (na, la, width), (nb, lb, _) = a.shape, b.shape
    product = (b.reshape(nb * lb, width) @ a.reshape(na * la, width).T).view(nb, lb, na, la)
    scores = product.permute(0, 2, 3, 1).contiguous()  # (Nb, Na, La, Lb)
    work = F.leaky_relu(scores, 0.1)
    if not bool(mask_a.all()):
        work.mul_(mask_a[None, :, :, None])
    # torch's norm takes twenty times as long over an axis that is not the last
    norms = work.square().sum(2, keepdim=True).sqrt_().clamp_(min=1e-8)
    work.mul_(norms.reciprocal_().mul_(inverse_temperature))
    whole = bool(mask_b.all())
    if not whole:
        work.masked_fill_(~mask_b[:, None, None, :], FAR)
    weights = torch.softmax(work, 3)
    if not whole:
        weights.mul_(mask_b[:, None, None, :])
    along = torch.mul(weights, scores, out=work).sum(3)
    flat = torch.bmm(weights.view(nb, na * la, lb), gram, out=work.view(nb, na * la, lb))
    squared = flat.view(nb, na, la, lb).mul_(weights).sum(3)
    lengths = a.norm(dim=2)[None] * squared.clamp_(min=1e-12).sqrt_()
    found: Tensor = (along / lengths.clamp_(min=1e-8)).transpose(0, 1)
    return found


def packed(mask: Bool[Tensor, "B L"]) -> Int64[Tensor, "B M"]:
    """Give for each row where its real tokens are, in their order; M is the longest of them, and padding fills what is left."""
    longest = max(1, int(mask.sum(1).max()))
    return (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]


def blocks(first: int, second: int, cost: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Cut all pairs of two sides into blocks of at most `most` numbers, where a pair needs `cost` of them.

    Blocks are about square, so that what is made once an item of either side is made seldom; memory does not grow with the
    number of items.
    """
    pairs = max(1, most // max(1, cost))
    columns = max(1, min(second, round(pairs**0.5)))
    rows = max(1, min(first, pairs // columns))
    columns = max(1, min(second, pairs // rows))
    for top in range(0, first, rows):
        for left in range(0, second, columns):
            yield slice(top, min(top + rows, first)), slice(left, min(left + columns, second))
