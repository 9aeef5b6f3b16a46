"""Losses of pairs: similarity matrix in, one value per pair out.

Rows are items, columns captions, positives on the diagonal. Other rows that show the same item (`positives`) are never
negatives: with several captions an item this is the dominant error on small data.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

NEVER = -1e4
"""A similarity that no item reaches, finite so that no gradient turns into NaN."""


def soft_margin(margin: float, correspondence: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Shrink the margin of pairs that are believed less: `margin * (10^y - 1) / 9`.

    Source: NCR (Huang and others, NeurIPS 2021), equation of the soft margin.
    """
    return margin * (10.0**correspondence - 1.0) / 9.0


def hinge(
    similarity: Float[Tensor, "B B"],
    positives: Bool[Tensor, "B B"],
    margin: float | Float[Tensor, " B"] = 0.2,
    hardest: bool = True,
) -> Float[Tensor, " B"]:
    """Give the hinge triplet loss of each pair, both directions added.

    Args:
        similarity: of every item with every caption, in [-1, 1].
        positives: True where row and column show the same item.
        margin: one for all, or one a pair.
        hardest: count the hardest negative alone; else the mean of all negatives, the safe start of training.

    Source: VSE++ (Faghri and others, BMVC 2018), equations 5 and 6; our mean over pairs is taken outside, theirs is a sum.
    """
    diagonal = similarity.diagonal()
    wide = margin if isinstance(margin, float) else margin[:, None]
    item_to_text = (wide + similarity - diagonal[:, None]).clamp(min=0).masked_fill(positives, 0)
    text_to_item = (wide + similarity.T - diagonal[:, None]).clamp(min=0).masked_fill(positives, 0)
    if hardest:
        return item_to_text.amax(1) + text_to_item.amax(1)
    negatives = (~positives).sum(1).clamp(min=1)
    return (item_to_text.sum(1) + text_to_item.sum(1)) / negatives


def top_k_hinge(
    similarity: Float[Tensor, "B B"], positives: Bool[Tensor, "B B"], margin: float | Float[Tensor, " B"] = 0.2
) -> Float[Tensor, " B"]:
    """Give the hinge of each pair over its k hardest negatives, both directions added; k falls as training goes on.

    `k` is the mean number of negatives of an item that violate the margin, plus one: nearly all in the beginning, the hardest
    alone in the end, a warm-up that needs no schedule. It is counted from items to captions and used for both directions.

    Args:
        similarity: of every item with every caption.
        positives: True where row and column show the same item.
        margin: one for all, or one a pair.

    Source: the published code of MVSEN (Qin and others, JCST 2024), which sums over the batch; our mean is taken outside.
    """
    diagonal, size = similarity.diagonal(), len(similarity)
    wide = margin if isinstance(margin, float) else margin[:, None]
    item_to_text = (wide + similarity - diagonal[:, None]).clamp(min=0).masked_fill(positives, 0)
    text_to_item = (wide + similarity.T - diagonal[:, None]).clamp(min=0).masked_fill(positives, 0)
    k = min(size, int((item_to_text > 0).sum()) // size + 1)
    return item_to_text.topk(k, 1).values.sum(1) + text_to_item.topk(k, 1).values.sum(1)


def info_nce(
    similarity: Float[Tensor, "B B"], positives: Bool[Tensor, "B B"], inverse_temperature: float | Tensor
) -> Float[Tensor, " B"]:
    """Give the cross-entropy of finding the partner, mean of both directions; other positives are left out.

    Source: InfoNCE (van den Oord and others, 2018) in the symmetric form of CLIP.
    """
    others = positives & ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    logits = (similarity * inverse_temperature).masked_fill(others, NEVER)
    forward = torch.logsumexp(logits, 1) - logits.diagonal()
    backward = torch.logsumexp(logits, 0) - logits.diagonal()
    return 0.5 * (forward + backward)


def global_to_local(
    whole: Float[Tensor, "B P"],
    parts: Float[Tensor, "B L P"],
    mask: Bool[Tensor, "B L"],
    positives: Bool[Tensor, "B B"],
    scale: float | Tensor,
) -> Float[Tensor, " B"]:
    """Let each vector find its own parts among the parts of all other items; the mean over its real parts.

    Source: local mutual information of TCL (Yang and others, CVPR 2022), equation 6, with other views of one item left out.
    """
    owner = mask.nonzero()[:, 0]  # of each of the N real parts: padding is most of a batch
    scores = whole @ parts[mask].T  # (B, N)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    own = scores[owner, torch.arange(len(owner), device=owner.device)]
    others = torch.logsumexp(scores.masked_fill(positives[:, owner], NEVER), 1)
    lost = torch.logaddexp(own, others[owner]) - own
    total = own.new_zeros(len(whole)).index_add(0, owner, lost)
    return total / mask.sum(1).clamp(min=1)


def imitation(logits: Float[Tensor, "B M"], taught: Float[Tensor, "B M"]) -> Float[Tensor, ""]:
    """Give the divergence of the logits' softmax from the teacher's, over rows and over columns; near ones count most.

    Source: knowledge distillation (Hinton and others, 2015), on similarities in both directions.
    """
    rows = F.kl_div(logits.log_softmax(1), taught.log_softmax(1), log_target=True, reduction="batchmean")
    columns = F.kl_div(logits.T.log_softmax(1), taught.T.log_softmax(1), log_target=True, reduction="batchmean")
    return rows + columns


def quantisation(relaxed: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Give each row's mean squared distance to its own sign: what rounding to bits will cost."""
    return (relaxed - torch.where(relaxed >= 0, 1.0, -1.0)).square().mean(1)


def bit_balance(relaxed: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    """Give the mean over bits of the squared mean of the bit: zero when every bit splits the batch in halves."""
    return relaxed.mean(0).square().mean()


def bit_correlation(relaxed: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    """Give the squared distance of the bits' second moments from the identity, over K^2."""
    bits = relaxed.shape[1]
    moments = relaxed.T @ relaxed / len(relaxed)
    return (moments - torch.eye(bits, device=relaxed.device)).square().sum() / bits**2


def cosines(a: Float[Tensor, "A K"], b: Float[Tensor, "B K"]) -> Float[Tensor, "A B"]:
    """Give the cosine of every row of `a` with every row of `b`."""
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def shares_label(labels: Float[Tensor, "B C"]) -> Float[Tensor, "B B"]:
    """Give 1 where two rows share at least one label, else 0."""
    return (labels @ labels.T > 0).to(labels.dtype)


def pairwise_likelihood(
    first: Float[Tensor, "B K"], second: Float[Tensor, "B K"], similar: Float[Tensor, "B B"], balanced: bool = False
) -> Float[Tensor, " B"]:
    """Give each row's mean negative log-likelihood of who is similar to whom: `softplus(th) - s th`.

    Args:
        first: relaxed codes of one side.
        second: of the other side.
        similar: 1 or 0.
        balanced: similar and other pairs count alike, however many there are of each.

    Source: DCMH (Jiang and Li, CVPR 2017), equation 1, with `th = 16 / K` times the dot product in place of a half: with their
        factor the sigmoid is saturated at 128 bits (our decision; the two agree at 32).
    """
    logits = first @ second.T * (16.0 / first.shape[1])
    loss = F.softplus(logits) - similar * logits
    if not balanced:
        return loss.mean(1)
    share = similar.mean().clamp(1e-3, 1 - 1e-3)
    return (loss * (0.5 * similar / share + 0.5 * (1 - similar) / (1 - share))).mean(1)


def ramp(progress: float, until: float) -> float:
    """Rise linearly from 0 to 1 over the first part of training, then stay."""
    return 1.0 if until <= 0 else min(1.0, max(0.0, progress / until))


def learned_scale() -> nn.Parameter:
    """Give a temperature to be learned, of 0.07 in the beginning, as `inverse_temperature` reads it."""
    return nn.Parameter(torch.tensor(math.log(1 / 0.07)))


def inverse_temperature(log_scale: Tensor) -> Tensor:
    """Give exp(log_scale), clamped to [1, 100] so that it can neither vanish nor explode."""
    return log_scale.clamp(0.0, math.log(100.0)).exp()
