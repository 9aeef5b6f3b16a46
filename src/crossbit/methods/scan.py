"""`scan`: stacked cross attention, the joint scorer that the fine-grained methods grew from.

"Stacked Cross Attention for Image-Text Matching", Lee, Chen, Hua, Hu, He; ECCV 2018.

    image tokens (B, L, D) -> standardise -> Linear -> unit regions (B, L, E)
    text  tokens (B, L, D) -> standardise -> Linear -> unit words   (B, L, E)
    direction "t2i": every word attends to the regions, its cosine with what it sees; "i2t": every region to the words
    score (Nq, Ni) = log-sum-exp or mean over the tokens that ask
    loss: hinge triplet with the hardest negative, margin 0.2

From the paper: both directions, the attention and its normalisations, both ways to pool, temperatures, loss.
Our reconstruction: words are features of a frozen text encoder, or with `vocabulary` of a GRU that is trained along as in the
paper; standardised inputs; the mean of the negatives in the beginning; switches: InfoNCE, a coarser grid, a start from
canonical correlations. It scores pairs jointly, so it re-ranks and cannot be
indexed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment, Views
from crossbit.methods.base import Method
from crossbit.nn.canonical import pooled_fit, start_from_pooled
from crossbit.nn.crossing import FAR, blocks, cosines_without_gradient, own_looks, packed
from crossbit.nn.dropping import drop_tokens
from crossbit.nn.grid import coarser, on_all_cells, spread
from crossbit.nn.gru import EMBEDDING, WordGRU
from crossbit.nn.losses import hinge, info_nce, inverse_temperature, learned_scale, soft_margin
from crossbit.nn.pairwise import gram_of, pair_affinity, pair_cosines, pair_looks
from crossbit.nn.standardise import Standardise

_NUMBERS = 1 << 19
"""Affinities that are held at a time while scoring: 2 MB a tensor, so that most of the work stays in the processor's cache."""

_GROUPS = 4
"""Groups by length that a batch of texts is scored in while training."""


@dataclass(frozen=True)
class SCANConfig:
    """Settings of SCAN; the defaults are the paper's for text to image on Flickr30K.

    Args:
        width: E of the tokens' common space.
        direction: which side attends: words to regions ("t2i") or regions to words ("i2t").
        inverse_temperature: of the attention; the paper has 9 for t2i and 4 for i2t.
        pool: how the cosines of the asking tokens become one score.
        sharpness: of the log-sum-exp; the paper has 6 for t2i and 5 for i2t.
        grid: average a picture's grid down to this many cells a side; 0 keeps it.
        drop: share of regions and words that training leaves out.
        dropout: on the channels of the inputs.
        margin: of the hinge.
        mean_negatives: share of training that uses the mean of the negatives before the hardest.
        loss: "hinge" as in the paper, or "infonce" with a learned temperature.
        canonical: start the projections from canonical correlations of the pooled features instead of at random; it needs
            frozen features on both sides, with summaries as wide as tokens.
        vocabulary: words that a vocabulary of its own knows, learned from the training captions and read by a Bi-GRU, as in the
            paper; it needs the encoder `words`. 0 reads the features of a frozen text encoder.
    """

    width: int = 1024
    direction: Literal["t2i", "i2t"] = "t2i"
    inverse_temperature: float = 9.0
    pool: Literal["lse", "mean"] = "lse"
    sharpness: float = 6.0
    grid: int = 0
    drop: float = 0.0
    dropout: float = 0.0
    margin: float = 0.2
    mean_negatives: float = 0.0
    loss: Literal["hinge", "infonce"] = "hinge"
    canonical: bool = False
    vocabulary: int = 0

    @classmethod
    def small(cls) -> SCANConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(width=256, dropout=0.2, drop=0.1, pool="mean", mean_negatives=0.1)


class SCAN(Method):
    """Compares tokens across modalities; abilities: scores, aligns."""

    Config = SCANConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    def __init__(self, config: SCANConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: SCANConfig = config
        frozen = ("image",) if config.vocabulary else self.reads
        self.standardise = nn.ModuleDict({view: Standardise(dims[view][0]) for view in frozen})
        self.project = nn.ModuleDict({view: nn.Linear(dims[view][0], config.width) for view in frozen})
        self.words = WordGRU(config.vocabulary, EMBEDDING, config.width) if config.vocabulary else None
        if config.loss == "infonce":
            self.log_scale = learned_scale()

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of the tokens, and the vocabulary if there is one."""
        for view, standardise in self.standardise.items():
            standardise.learn(views[view].tokens[views[view].mask])  # type: ignore[operator]
        if self.words is not None:
            self.words.vocabulary.learn(captions)
        elif self.config.canonical and pooled_fit(self.dims):
            layers = [(self.project[view], self.standardise[view]) for view in self.reads]
            start_from_pooled(layers, [pooled[view] for view in self.reads])  # type: ignore[arg-type]

    def score(self, queries: Views, items: Views) -> Float[Tensor, "Nq Ni"]:
        """Give the score of every query with every item; the pairs are cut into blocks that fit in memory."""
        (query,), (item,) = queries, items
        if query.modality == "image":
            return self.score(items, queries).T
        return self.meet(self.side(query), self.side(item))

    def side(self, view: Encoded) -> tuple[Float[Tensor, "B L E"], Bool[Tensor, "B L"]]:
        """Give the tokens in the common space."""
        view = coarser(view, self.config.grid)
        return self._tokens(view), view.mask

    def meet(self, text: tuple[Tensor, Tensor], image: tuple[Tensor, Tensor]) -> Float[Tensor, "Nt Ni"]:
        """Give the score of every text with every picture."""
        return self._all(*text, *image) if self.config.direction == "t2i" else self._all(*image, *text).T

    def align(self, a: Encoded, b: Encoded) -> Float[Tensor, "B La Lb"]:
        """Give how much each token of `a` looks at each token of `b`, pair by pair."""
        fewer = [spread(view, self.config.grid) for view in (a, b)]
        (first, real), (second, seen) = self.side(a), self.side(b)
        weights = own_looks(first, real, second, seen, self.config.inverse_temperature)
        return on_all_cells(weights * real[:, :, None], *fewer)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the hinge (or InfoNCE) of each pair."""
        image, text = coarser(batch["image"], self.config.grid), batch["text"]
        if self.training and self.config.drop:
            image, text = (replace(view, mask=drop_tokens(view.mask, self.config.drop)) for view in (image, text))
        scores = self.score((image,), (text,))
        if self.config.loss == "infonce":
            return {"infonce": info_nce(scores, batch.positives(), inverse_temperature(self.log_scale))}
        margin: float | Tensor = self.config.margin
        if batch.correspondence is not None:
            margin = soft_margin(self.config.margin, batch.correspondence)
        hardest = moment.progress >= self.config.mean_negatives
        return {"hinge": hinge(scores, batch.positives(), margin, hardest)}

    def _tokens(self, view: Encoded) -> Float[Tensor, "B L E"]:
        if self.words is not None and view.modality == "text":
            return F.normalize(self.words(view.tokens, view.mask)[0], dim=-1)
        tokens = self.standardise[view.modality](view.tokens)
        if self.training and self.config.dropout:  # the same channels of all tokens of an item
            tokens = tokens * F.dropout(torch.ones_like(tokens[:, :1]), self.config.dropout)
        return F.normalize(self.project[view.modality](tokens), dim=-1)

    def _all(self, a: Tensor, mask_a: Tensor, b: Tensor, mask_b: Tensor) -> Float[Tensor, "Na Nb"]:
        if torch.is_grad_enabled():  # what is learned from is kept anyway
            return self._learned(a, mask_a, b, mask_b)
        found, gram = a.new_zeros(len(a), len(b)), b @ b.transpose(1, 2)
        for rows, columns in blocks(len(a), len(b), a.shape[1] * b.shape[1], _NUMBERS):
            # neighbours are of about one length, and shorter than the longest of all
            la, lb = _end(mask_a[rows]), _end(mask_b[columns])
            real = mask_a[rows, :la]
            cosines = cosines_without_gradient(
                a[rows, :la],
                real,
                b[columns, :lb],
                mask_b[columns, :lb],
                gram[columns, :lb, :lb],
                self.config.inverse_temperature,
            )
            found[rows, columns] = self._pool(cosines, real)
        return found

    def _learned(self, a: Tensor, mask_a: Tensor, b: Tensor, mask_b: Tensor) -> Float[Tensor, "Na Nb"]:
        """Score all pairs with gradients, texts of about one length together, so that little is padding."""
        norms, gram = a.norm(dim=2), gram_of(b)
        asks = self.config.direction == "t2i"
        order = (mask_a if asks else mask_b).sum(1).argsort()
        parts = []
        for rows in order.split(max(1, -(-len(order) // _GROUPS))):
            x, real_x, y, real_y, long, self_y = a, mask_a, b, mask_b, norms, gram
            if asks:
                at = packed(mask_a[rows])
                x, real_x, long = (_taken(value, rows, at) for value in (a, mask_a, norms))
            else:
                at = packed(mask_b[rows])
                y, real_y = (_taken(value, rows, at) for value in (b, mask_b))
                self_y = _taken(gram, rows, at).gather(2, at[:, None].expand(-1, at.shape[1], -1))
            scores = pair_affinity(x, y)
            weights = pair_looks(scores, real_x, real_y, self.config.inverse_temperature)
            some = self._pool(pair_cosines(scores, weights, long, self_y).transpose(0, 1), real_x)
            parts.append(some if asks else some.T)
        found = torch.cat(parts)[order.argsort()]
        return found if asks else found.T

    def _pool(self, cosines: Float[Tensor, "Na Nb La"], mask: Bool[Tensor, "Na La"]) -> Float[Tensor, "Na Nb"]:
        real = mask[:, None]
        if self.config.pool == "mean":
            return (cosines * real).sum(2) / real.sum(2).clamp(min=1)
        sharp = self.config.sharpness
        pooled = torch.logsumexp((cosines * sharp).masked_fill(~real, FAR), 2) / sharp
        return pooled.masked_fill(~mask.any(1)[:, None], 0.0)


def _end(mask: Bool[Tensor, "B L"]) -> int:
    """Give the place after the last real token of any row."""
    real = mask.any(0).nonzero()
    return int(real[-1]) + 1 if len(real) else 1


def _taken(x: Tensor, rows: Tensor, at: Tensor) -> Tensor:
    """Give some rows with their tokens in an order that `packed` gives."""
    return x[rows[:, None], at]
