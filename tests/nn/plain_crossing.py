"""Attention across modalities step by step, in plain operations: what the quick ways of `crossing` and `pairwise` are held to.

Every function takes all pairs of Na items and Nb others at once.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

FAR = -1e4


def affinity(a: Float[Tensor, "Na La D"], b: Float[Tensor, "Nb Lb D"]) -> Float[Tensor, "Na Nb La Lb"]:
    """Give the dot product of every token of `a` with every token of `b`."""
    (na, la, width), (nb, lb, _) = a.shape, b.shape
    product = a.reshape(na * la, width) @ b.reshape(nb * lb, width).T
    return product.reshape(na, la, nb, lb).transpose(1, 2)


def looks(
    scores: Float[Tensor, "Na Nb La Lb"],
    mask_a: Bool[Tensor, "Na La"],
    mask_b: Bool[Tensor, "Nb Lb"],
    inverse_temperature: float,
) -> Float[Tensor, "Na Nb La Lb"]:
    """Give for each token of `a` the weights of the tokens of `b`; they sum to 1 over the real ones.

    Source: SCAN (Lee and others, ECCV 2018), equations 1 and 2 (text to image: `a` are the words): negative affinities are
        shrunk to a tenth, each token of `b` is normalised over the tokens of `a`, then the softmax over `b`.
    """
    real_a, real_b = mask_a[:, None, :, None], mask_b[None, :, None, :]
    scores = F.leaky_relu(scores, 0.1).masked_fill(~real_a, 0.0)
    scores = scores / scores.norm(dim=-2, keepdim=True).clamp(min=1e-8)
    return torch.softmax((scores * inverse_temperature).masked_fill(~real_b, FAR), dim=-1) * real_b


def cosine_of_seen(
    scores: Float[Tensor, "Na Nb La Lb"],
    weights: Float[Tensor, "Na Nb La Lb"],
    norms: Float[Tensor, "Na La"],
    b: Float[Tensor, "Nb Lb D"],
) -> Float[Tensor, "Na Nb La"]:
    """Give the cosine of each token of `a` with what it sees, without forming what it sees.

    With weights w over tokens v_j the seen vector is s = sum w_j v_j, so a . s = sum w_j (a . v_j), which the affinity holds
    already, and |s|^2 = w G w with the Gram matrix G of the tokens: Lb^2 numbers in place of Lb x D.

    Args:
        scores: the raw affinity, before anything was done to it.
        weights: as `looks` gives them.
        norms: lengths of the tokens of `a`.
        b: the tokens that are looked at.
    """
    gram = b @ b.transpose(1, 2)  # (Nb, Lb, Lb)
    product = (weights * scores).sum(3)
    squared = (torch.einsum("xyal,ylm->xyam", weights, gram) * weights).sum(3)
    return product / (norms[:, None] * squared.clamp(min=1e-12).sqrt()).clamp(min=1e-8)


def see(weights: Float[Tensor, "Na Nb La Lb"], b: Float[Tensor, "Nb Lb D"]) -> Float[Tensor, "Na Nb La D"]:
    """Give what each token of `a` sees in `b`: the weighted sum of its tokens, not brought to unit length."""
    (na, nb, la, lb), width = weights.shape, b.shape[2]
    # one product an item of `b`, whatever the number of items of `a`
    seen = torch.bmm(weights.transpose(0, 1).reshape(nb, na * la, lb), b)
    return seen.reshape(nb, na, la, width).transpose(0, 1)
