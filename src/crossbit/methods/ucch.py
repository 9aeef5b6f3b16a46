"""`ucch`: unsupervised contrastive cross-modal hashing, the strongest rival that needs no labels.

"Unsupervised Contrastive Cross-modal Hashing", Hu, Zhu, Lin, Peng, Zhao, Peng; TPAMI 2023.

    image pooled (B, P) -> hash network -> h (B, K)        bank (N, K): one remembered code a training pair,
    text  pooled (B, P) -> hash network -> g (B, K)        moved towards the mean of h and g, then signed
    L = alpha contrast(h, g against their place in the bank and `negatives` other places)
      + (1 - alpha) ranking: soft maximum over all negatives of the batch of (margin + S_ij - S_ii)

From the paper: the bank of binary codes and its momentum, contrast against random entries, the temperature that grows with
the root of K, a ranking loss over all negatives in place of the hardest alone.
Our reconstruction: frozen features; places of the bank that hold another caption of the same item are no negatives; the exact
constants (alpha, temperature, softness) where the paper's text leaves them open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method, sign
from crossbit.nn.hashing import HashNetwork, over_lengths
from crossbit.nn.losses import NEVER


@dataclass(frozen=True)
class UCCHConfig:
    """Settings of UCCH.

    Args:
        bits: K.
        hidden: width of the hidden layer.
        dropout: after it.
        alpha: weight of the contrast; the ranking has the rest.
        negatives: places of the bank that a step contrasts with.
        momentum: share of the old code in the bank's new one.
        temperature: of the contrast, multiplied by the root of K.
        margin: of the ranking.
        softness: of its maximum; a small one counts the hardest negative alone.
        nested: let the first 16, 32, 64 ... bits be codes of their own, by the same losses on them.
    """

    bits: int = 64
    hidden: int = 4096
    dropout: float = 0.0
    alpha: float = 0.7
    negatives: int = 4096
    momentum: float = 0.4
    temperature: float = 0.9
    margin: float = 0.2
    softness: float = 0.1
    nested: bool = False

    @classmethod
    def small(cls) -> UCCHConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(bits=128, hidden=512, dropout=0.2, negatives=1024)


class UCCH(Method):
    """Two hash networks and a bank of codes; abilities: hashes."""

    Config = UCCHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    bank: Tensor
    item_of: Tensor

    def __init__(self, config: UCCHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: UCCHConfig = config
        self.networks = nn.ModuleDict(
            {view: HashNetwork(dims[view][1], config.hidden, config.bits, config.dropout) for view in self.reads}
        )
        self.register_buffer("bank", torch.zeros(0, config.bits), persistent=False)
        self.register_buffer("item_of", torch.zeros(0, dtype=torch.long), persistent=False)
        self._seen: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of both inputs, and make room for a code of every training pair."""
        for view in self.reads:
            self.networks[view].standardise.learn(pooled[view])  # type: ignore[operator, union-attr]
        self._grow(len(captions))

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the relaxed code."""
        (view,) = views
        out: Tensor = self.networks[view.modality](view.pooled)
        return out

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the contrast with the bank and the ranking inside the batch."""
        config, image, text = self.config, self.relax(batch["image"]), self.relax(batch["text"])
        self._grow(int(batch.pair.max()) + 1)
        self._seen = (batch.pair, batch.item, image.detach(), text.detach())
        terms = {}
        if config.alpha < 1:
            positives = batch.positives()

            def ranking(k: int) -> Tensor:
                return _soft_ranking(image[:, :k] @ text[:, :k].T / k, positives, config.margin, config.softness)

            terms["ranking"] = (1 - config.alpha) * over_lengths(config.bits, config.nested, ranking)
        terms["contrast"] = config.alpha * self._contrast(batch, image, text)
        return terms

    def after_step(self) -> None:
        """Move the codes of the last batch in the bank."""
        if self._seen is None:
            return
        pair, item, image, text = self._seen
        momentum = self.config.momentum
        self.bank[pair] = sign(momentum * self.bank[pair] + (1 - momentum) * (image + text) / 2)
        self.item_of[pair] = item
        self._seen = None

    def _contrast(self, batch: Batch, image: Tensor, text: Tensor) -> Float[Tensor, " B"]:
        """Find the own place among random ones; a place that was not filled yet holds the present code."""
        filled = (self.item_of[batch.pair] >= 0).unsqueeze(1)
        own = torch.where(filled, self.bank[batch.pair], sign(image + text).detach())
        others = torch.randint(len(self.bank), (min(self.config.negatives, len(self.bank)),), device=image.device)
        known = self.item_of[others]
        wrong = (known[None, :] >= 0) & (known[None, :] != batch.item[:, None])  # (B, M)
        bank = self.bank[others]

        def found(k: int) -> Tensor:
            scale = 1 / (self.config.temperature * math.sqrt(k))
            total = torch.zeros(len(batch), device=image.device)
            for code in (image[:, :k], text[:, :k]):
                positive = (code * own[:, :k]).sum(1, keepdim=True) * scale
                negative = (code @ bank[:, :k].T * scale).masked_fill(~wrong, NEVER)
                total = total + torch.logsumexp(torch.cat([positive, negative], 1), 1) - positive.squeeze(1)
            return total / 2

        return over_lengths(self.config.bits, self.config.nested, found)

    def _grow(self, count: int) -> None:
        """Make room; a loop that prepares the method never grows it afterwards."""
        missing = count - len(self.bank)
        if missing > 0:
            self.bank = torch.cat([self.bank, self.bank.new_zeros(missing, self.config.bits)])
            self.item_of = torch.cat([self.item_of, self.item_of.new_full((missing,), -1)])


def _soft_ranking(
    similarity: Float[Tensor, "B B"], positives: Bool[Tensor, "B B"], margin: float, softness: float
) -> Float[Tensor, " B"]:
    """Give a smooth hinge over all negatives, both directions added: `s log(1 + sum exp((m + S_ij - S_ii) / s))`."""
    own = similarity.diagonal()[:, None]
    total = torch.zeros(len(similarity), device=similarity.device)
    for scores in (similarity, similarity.T):
        violation = ((margin + scores - own) / softness).masked_fill(positives, NEVER)
        total = total + softness * F.softplus(torch.logsumexp(violation, 1))
    return total
