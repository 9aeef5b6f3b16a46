"""`mvsen`: a joint scorer that reasons over graphs of word-region pairs, with two auxiliary tasks beside retrieval.

"Multi-Task Visual Semantic Embedding Network for Image-Text Retrieval", Qin, Li, Tang, Hao, Ge, Pang; Journal of Computer
Science and Technology 39(4), 2024.

    regions (B, L, D) -> standardise -> Linear          words (B, L, D) -> standardise -> Bi-GRU
    both -> one shared encoder: Linear, ReLU, LayerNorm, self-attention with a memory            within a modality
    words look at regions ("t2i") and regions at words ("i2t"), as in SCAN                       across modalities
    node = unit(W (seen - own)^2), one a token that asks -> graph layers in cascade -> tanh head -> mean = score
    L = topk + text + labels
    topk    hinge over the k hardest negatives, k falling with the violations
    text    the caption against another caption of the same picture, by self-attention of their own
    labels  which frequent words the picture's captions hold, from what words and regions see of each other

From the paper (abstract and published code): all of this, both tasks, memory, three graph layers, the sizes.
Our reconstruction, where the published code errs or is silent: padding is masked by true lengths (their mask of tokens that
sum to zero masks no padding; `mask="zero_sum"` has it); all terms are means, with weights at which both tasks have a say
(theirs are `text_weight=0.001, label_weight=0.00014`, relative to a mean); the label task sees the caption with its own
picture, half and half (theirs: `label_mix=0.99, label_images="batch"`); labels are the frequent content words of the training
captions; `cosine_share` lets reasoning start from SCAN's cosine; both directions share one model and their scores are averaged
(theirs are two models, mixed with a weight that was chosen on the test set); the text task's heads have the usual width; inputs
are standardised; a grid may be averaged to fewer cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from crossbit.batch import Batch, Encoded, Moment, Views
from crossbit.methods.base import Method
from crossbit.nn.attention import SelfAttention
from crossbit.nn.canonical import start_canonical
from crossbit.nn.crossing import blocks, own_looks, packed
from crossbit.nn.dropping import drop_tokens
from crossbit.nn.grid import coarser, on_all_cells, spread
from crossbit.nn.groups import alike
from crossbit.nn.gru import EMBEDDING, BiGRU, WordGRU
from crossbit.nn.losses import cosines, info_nce, inverse_temperature, learned_scale, soft_margin, top_k_hinge
from crossbit.nn.memory import MemoryLayer
from crossbit.nn.pairwise import gram_of, pair_affinity, pair_cosines, pair_looks, pair_nodes
from crossbit.nn.pooling import masked_mean
from crossbit.nn.real import channels_kept, kept_of
from crossbit.nn.reasoning import GraphLayer
from crossbit.nn.standardise import Standardise

Direction = Literal["t2i", "i2t"]

_NUMBERS = 1 << 22
"""Numbers that are held at a time while scoring, in each of a handful of tensors: 16 MB a tensor."""


_GROUPS = 4
"""Groups by length that a batch of texts is scored in while training."""


@dataclass(frozen=True)
class MVSENConfig:
    """Settings of MVSEN; sizes and margins are those of the published code, the weights of the tasks are not.

    Args:
        width: of the tokens' common space.
        direction: which side asks: words ("t2i"), regions ("i2t"), or both, whose scores are averaged.
        text: how words are read: frozen features through a Bi-GRU ("gru", as in the paper) or a Linear ("linear"), or the
            words themselves ("words"), with a vocabulary of their own and a Bi-GRU; that needs the encoder `words`.
        vocabulary: words that "words" knows.
        grid: average a picture's grid down to this many cells a side; 0 keeps it.
        encoder_layers: layers of the shared encoder with memory; 0 leaves the interaction within a modality out.
        heads: of its attention.
        memory: slots of its memory.
        hidden: width inside its two-layer network.
        interaction: words and regions attend to each other; without it each sees the mean of the other side.
        inverse_temperature: of that attention.
        node: width of a node of the graph.
        graph_layers: in cascade; 0 leaves reasoning out.
        cosine_share: how much of SCAN's cosine, of each asking token with what it sees, is added to what reasoning says; none
            in the paper. On few pairs it is what the reasoning starts from.
        global_share: how much of the cosine of the two pooled vectors, each through a Linear and a residual MLP, is added to
            every score, as the global node of SGR does for its graph; none in the paper. The Linear starts from canonical
            correlations.
        global_weight: weight of InfoNCE on that cosine alone, over the whole batch.
        group: items of a batch whose joint scores are compared with each other, each time those whose pooled vectors are most
            alike, so that hard negatives are kept and the cost of a step grows with the batch, not with its square; 0 compares
            the whole batch. It needs `global_share`.
        global_width: of these vectors.
        summary: width inside that MLP.
        loss: of retrieval: "topk" as in the paper, or "infonce" with a learned temperature on the mean of both directions.
        margin: of both hinges.
        text_weight: weight of matching a caption with another caption; 0 leaves the task out; the published code's is 0.001.
        label_weight: weight of the labels; 0 leaves the task out; the published code's is 0.00014.
        label_words: frequent words of the training captions that are labels; 0 takes the data's own labels.
        classes: how many labels there are; 0 for none. Training fills it in.
        label_hidden: width inside the label head.
        label_mix: share of what regions see of the words in what the label head reads; the published code has 0.99.
        label_images: over which pictures that is averaged: the caption's "own", or all of the "batch" as in the published code.
        drop: share of regions and words that training leaves out.
        dropout: on the channels of the inputs, and inside the encoder.
        mask: what the encoder takes for padding: "lengths", or "zero_sum" as in the published code, which masks none.
    """

    width: int = 1024
    direction: Literal["t2i", "i2t", "both"] = "both"
    text: Literal["gru", "linear", "words"] = "gru"
    vocabulary: int = 8192
    grid: int = 0
    encoder_layers: int = 1
    heads: int = 8
    memory: int = 100
    hidden: int = 2048
    interaction: bool = True
    inverse_temperature: float = 10.0
    node: int = 256
    graph_layers: int = 3
    cosine_share: float = 0.0
    global_share: float = 0.0
    global_weight: float = 0.0
    group: int = 0
    global_width: int = 256
    summary: int = 512
    loss: Literal["topk", "infonce"] = "topk"
    margin: float = 0.2
    text_weight: float = 0.1
    label_weight: float = 0.1
    label_words: int = 1000
    classes: int = 0
    label_hidden: int = 1000
    label_mix: float = 0.5
    label_images: Literal["own", "batch"] = "own"
    drop: float = 0.0
    dropout: float = 0.1
    mask: Literal["lengths", "zero_sum"] = "lengths"

    @classmethod
    def small(cls) -> MVSENConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(
            width=64,
            text="linear",
            grid=3,
            heads=4,
            memory=16,
            hidden=128,
            node=32,
            cosine_share=1.0,
            label_words=200,
            label_hidden=128,
            drop=0.1,
            dropout=0.2,
        )


@dataclass(frozen=True)
class _Side:
    """The tokens of some items after the shared encoder, and which of them are real."""

    late: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]
    whole: Float[Tensor, "B G"]

    def __getitem__(self, rows: slice | Tensor) -> _Side:
        return _Side(self.late[rows], self.mask[rows], self.whole[rows])

    def __len__(self) -> int:
        return len(self.late)

    def packed(self, rows: Tensor) -> _Side:
        """Give some items with their real tokens first, cut to the longest; order says nothing any more."""
        some = self[rows]
        first = packed(some.mask)
        late = some.late.gather(1, first.unsqueeze(-1).expand(-1, -1, some.late.shape[2]))
        return _Side(late, some.mask.gather(1, first), some.whole)


class _Reasoner(nn.Module):
    """One direction: from what each asking token sees to a score."""

    def __init__(self, config: MVSENConfig) -> None:
        super().__init__()
        self.cosine_share = config.cosine_share
        self.node = weight_norm(nn.Linear(config.width, config.node))
        self.layers = nn.ModuleList(GraphLayer(config.node) for _ in range(config.graph_layers))
        between = max(1, config.node // 8)
        self.score = nn.Sequential(
            weight_norm(nn.Linear(config.node, between)), nn.Tanh(), weight_norm(nn.Linear(between, 1))
        )

    def forward(
        self,
        scores: Float[Tensor, "Nb Na La Lb"],
        weights: Float[Tensor, "Nb Na La Lb"],
        asks: _Side,
        seen: _Side,
    ) -> Float[Tensor, "Nb Na"]:
        """Give the score of all pairs, the side that is seen first.

        Args:
            scores: dot product of every token that asks with every token that is seen.
            weights: how much each looks at each.
            asks: Na items whose tokens ask.
            seen: Nb items whose tokens are seen.
        """
        nodes = pair_nodes(weights, asks.late, seen.late, self.node.weight, self.node.bias)
        for layer in self.layers:
            nodes = layer(nodes, asks.mask.expand(nodes.shape[:3]))
        each = self.score(nodes).squeeze(-1)
        if self.cosine_share:
            cosines = pair_cosines(scores, weights, asks.late.norm(dim=2), gram_of(seen.late))
            each = each + self.cosine_share * cosines
        out: Tensor = (each * asks.mask).sum(2) / asks.mask.sum(1).clamp(min=1)
        return out


class _Whole(nn.Module):
    """A pooled vector, brought into the common space: a linear map and a residual network that begins at zero."""

    def __init__(self, width: int, config: MVSENConfig) -> None:
        super().__init__()
        self.standardise = Standardise(width)
        self.dropout = config.dropout
        self.project = nn.Linear(width, config.global_width)
        last = nn.Linear(config.summary, config.global_width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(width, config.summary), nn.ReLU(), last)

    def forward(self, pooled: Float[Tensor, "B P"], kept: Float[Tensor, "B C"] | None) -> Float[Tensor, "B G"]:
        x = kept_of(self.standardise(pooled), kept, self.dropout)
        return F.normalize(self.project(x) + self.network(x), dim=-1)


class MVSEN(Method):
    """Scores pairs by reasoning over what words and regions see of each other; abilities: scores, aligns."""

    Config = MVSENConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    may_read: ClassVar[tuple[str, ...]] = ("positive",)

    def __init__(self, config: MVSENConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: MVSENConfig = config
        width = config.width
        matched = ("text", "positive") if config.text_weight and "positive" in dims else ("text",)
        self.standardise = nn.ModuleDict(
            {view: Standardise(dims[view][0]) for view in ("image", *matched) if view == "image" or self._frozen}
        )
        self.enter = nn.ModuleDict({"image": nn.Linear(dims["image"][0], width)})
        self.enter.update({view: self._reader(dims[view][0]) for view in matched})
        self.share = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(config.dropout), nn.LayerNorm(width))
        self.encoder = nn.ModuleList(
            MemoryLayer(width, config.heads, config.memory, config.hidden, config.dropout)
            for _ in range(config.encoder_layers)
        )
        self.directions: tuple[Direction, ...] = ("t2i", "i2t") if config.direction == "both" else (config.direction,)
        self.reason = nn.ModuleDict({direction: _Reasoner(config) for direction in self.directions})
        self.whole = nn.ModuleDict({view: _Whole(dims[view][1], config) for view in self.reads if config.global_share})
        if config.loss == "infonce":
            self.log_scale = learned_scale()
        if config.global_share and config.global_weight:
            self.global_scale = learned_scale()
        self.attend = nn.ModuleDict()
        self.summarise = nn.ModuleDict()
        if len(matched) > 1:
            self.attend = nn.ModuleDict({view: SelfAttention(width, config.heads, config.dropout) for view in matched})
            self.summarise = nn.ModuleDict({view: nn.Linear(width, max(1, width // 4)) for view in matched})
        self.label = nn.Sequential()
        if config.label_weight and config.classes:
            self.label = nn.Sequential(
                weight_norm(nn.Linear(width, config.label_hidden)),
                weight_norm(nn.Linear(config.label_hidden, config.classes)),
            )

    @property
    def _frozen(self) -> bool:
        return self.config.text != "words"

    def _reader(self, width: int) -> nn.Module:
        if self.config.text == "words":
            return WordGRU(self.config.vocabulary, EMBEDDING, self.config.width)
        if self.config.text == "gru":
            return BiGRU(width, self.config.width)
        return nn.Linear(width, self.config.width)

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of the tokens, and the vocabulary."""
        for name, standardise in self.standardise.items():
            view = views[name] if name in views else views["text"]
            standardise.learn(view.tokens[view.mask])  # type: ignore[operator]
        for reader in self.enter.values():
            if isinstance(reader, WordGRU):
                reader.vocabulary.learn(captions)
        seen = {}
        for name, whole in self.whole.items():
            whole.standardise.learn(pooled[name])  # type: ignore[operator, union-attr]
            seen[name] = whole.standardise(pooled[name])  # type: ignore[operator, union-attr]
        if seen:
            (first, x), (second, y) = ((self.whole[name].project, seen[name]) for name in self.reads)
            start_canonical(first, x, second, y)  # type: ignore[arg-type]

    def score(self, queries: Views, items: Views) -> Float[Tensor, "Nq Ni"]:
        """Give the score of every query with every item; the pairs are cut into blocks that fit in memory."""
        (query,), (item,) = queries, items
        if query.modality == "image":
            return self.score(items, queries).T
        return self.meet(self.side(query), self.side(item))

    def side(self, view: Encoded) -> _Side:
        """Give the tokens after the shared encoder, and the pooled vector if it has a say."""
        coarse = coarser(view, self.config.grid)
        tokens, mask = coarse.tokens, coarse.mask
        if self.training and self.config.drop:
            mask = drop_tokens(mask, self.config.drop)
        kept = self._kept(view)
        x = self.share(self._read(view.modality, tokens, mask, kept))
        known = mask if self.config.mask == "lengths" else x.sum(2) != 0
        for layer in self.encoder:
            x = layer(x, known)
        return _Side(x, mask, self._whole(view, kept))

    def meet(self, text: _Side, image: _Side) -> Float[Tensor, "Nt Ni"]:
        """Give the score of every text with every picture."""
        scores: Tensor = self._scores(text, image).mean(0)
        return scores

    def align(self, a: Encoded, b: Encoded) -> Float[Tensor, "B La Lb"]:
        """Give how much each token of `a` looks at each token of `b`, pair by pair."""
        asks, seen = (self.side(view) for view in (a, b))
        weights = self._own_looks(asks, seen) * asks.mask[:, :, None]
        return on_all_cells(weights, *(spread(view, self.config.grid) for view in (a, b)))

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give topk, and text and labels as far as they have a weight and what they need is there."""
        config, positives = self.config, batch.positives()
        image, text = self.side(batch["image"]), self.side(batch["text"])
        margin: float | Tensor = config.margin
        if batch.correspondence is not None:
            margin = soft_margin(config.margin, batch.correspondence)
        terms: dict[str, Tensor] = {config.loss: self._retrieval(text, image, positives, margin)}
        if self.whole and config.global_weight:
            found = info_nce(image.whole @ text.whole.T, positives, inverse_temperature(self.global_scale))
            terms["global"] = config.global_weight * found
        if len(self.attend):
            other = batch.views.get("positive")
            terms["text"] = config.text_weight * self._text(batch["text"], other, positives)
        if len(self.label) and batch.labels is not None:
            read = self.label(self._labelled(text, image))
            terms["labels"] = config.label_weight * F.binary_cross_entropy_with_logits(
                read, batch.labels, reduction="none"
            ).mean(1)
        return terms

    def _retrieval(
        self, text: _Side, image: _Side, positives: Bool[Tensor, "B B"], margin: float | Tensor
    ) -> Float[Tensor, " B"]:
        """Give the loss of the joint scores, group by group."""
        group = self.config.group if self.whole else 0
        if not 0 < group < len(text):
            return self._ranked(self._scores(text, image).transpose(1, 2), positives, margin)
        parts, places = [], alike((text.whole @ image.whole.T).detach(), group)
        for rows in places:
            scores = self._scores(text[rows], image[rows]).transpose(1, 2)
            some = margin if isinstance(margin, float) else margin[rows]
            parts.append(self._ranked(scores, positives[rows][:, rows], some))
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _ranked(
        self, scores: Float[Tensor, "N B B"], positives: Bool[Tensor, "B B"], margin: float | Tensor
    ) -> Float[Tensor, " B"]:
        if self.config.loss == "infonce":
            return info_nce(scores.mean(0), positives, inverse_temperature(self.log_scale))
        return torch.stack([top_k_hinge(some, positives, margin) for some in scores]).mean(0)

    # ---- tokens

    def _kept(self, view: Encoded) -> Float[Tensor, "B C"] | None:
        """Draw which input channels of each item this training step keeps, in all of its tokens."""
        return channels_kept(view.tokens, self.config.dropout) if self.training else None

    def _read(
        self, name: str, tokens: Tensor, mask: Tensor, kept: Float[Tensor, "B C"] | None
    ) -> Float[Tensor, "B L D"]:
        if name in self.standardise:
            tokens = self.standardise[name](tokens)
            if kept is not None:
                tokens = tokens * kept[:, None]
        reader = self.enter[name]
        if name == "image" or self.config.text == "linear":
            local: Tensor = reader(tokens)
            return local
        # of unit length in the paper; here as long as what the pictures' layer gives, since both enter one layer
        states: Tensor = F.normalize(reader(tokens, mask)[0], dim=-1) * self.config.width**0.5
        return states

    def _whole(self, view: Encoded, kept: Float[Tensor, "B C"] | None) -> Float[Tensor, "B G"]:
        """Give the pooled vector in the common space, of unit length; of no width where it has no say."""
        if view.modality not in self.whole:
            return view.pooled[:, :0]
        found: Tensor = self.whole[view.modality](view.pooled, kept)
        return found

    # ---- pairs

    def _scores(self, text: _Side, image: _Side) -> Float[Tensor, "N Nt Ni"]:
        """Give the scores of all pairs by each direction."""
        if torch.is_grad_enabled():  # what is learned from is kept anyway
            return self._by_length(text, image) + self._global(text, image)
        longest = max(text.mask.shape[1], image.mask.shape[1])
        cost = longest * max(longest, self.config.width)
        found = text.late.new_zeros(len(self.directions), len(text), len(image))
        for rows, columns in blocks(len(text), len(image), cost, _NUMBERS):
            for place, direction in enumerate(self.directions):
                found[place, rows, columns] = self._block(direction, text[rows], image[columns])
        return found + self._global(text, image)

    def _global(self, text: _Side, image: _Side) -> Float[Tensor, "Nt Ni"] | float:
        return self.config.global_share * (text.whole @ image.whole.T) if self.whole else 0.0

    def _by_length(self, text: _Side, image: _Side) -> Float[Tensor, "N Nt Ni"]:
        """Score texts of about one length together: with all pairs of a batch, padding is most of the work."""
        order = text.mask.sum(1).argsort()
        parts = []
        for rows in order.split(max(1, -(-len(order) // _GROUPS))):
            some = text.packed(rows)
            parts.append(torch.stack([self._block(direction, some, image) for direction in self.directions]))
        return torch.cat(parts, 1)[:, order.argsort()]

    def _block(self, direction: Direction, text: _Side, image: _Side) -> Float[Tensor, "Nt Ni"]:
        asks, seen = (text, image) if direction == "t2i" else (image, text)
        affinity = pair_affinity(asks.late, seen.late)
        scores: Tensor = self.reason[direction](affinity, self._looks(affinity, asks, seen), asks, seen)
        return scores.T if direction == "t2i" else scores

    def _looks(self, affinity: Tensor, asks: _Side, seen: _Side) -> Float[Tensor, "Nb Na La Lb"]:
        if self.config.interaction:
            return pair_looks(affinity, asks.mask, seen.mask, self.config.inverse_temperature)
        return self._even(seen).to(affinity)[:, None, None].expand(affinity.shape).contiguous()

    def _own_looks(self, asks: _Side, seen: _Side) -> Float[Tensor, "B La Lb"]:
        if self.config.interaction:
            return own_looks(asks.late, asks.mask, seen.late, seen.mask, self.config.inverse_temperature)
        return self._even(seen)[:, None].expand(-1, asks.mask.shape[1], -1)

    def _even(self, seen: _Side) -> Float[Tensor, "B L"]:
        return seen.mask.to(seen.late) / seen.mask.sum(1, keepdim=True).clamp(min=1)

    # ---- the two tasks

    def _text(self, text: Encoded, other: Encoded | None, positives: Bool[Tensor, "B B"]) -> Float[Tensor, " B"]:
        """Match captions with other captions of their pictures; a row without one neither learns nor is a rival."""
        if other is None:
            return torch.zeros(len(text), device=text.mask.device)
        found = {}
        for name, view in (("text", text), ("positive", other)):
            mask = view.mask | ~view.mask.any(
                1, keepdim=True
            )  # a missing row looks at what it has, and is left out below
            words = self._read(name, view.tokens, view.mask, self._kept(view))
            found[name] = self.summarise[name](masked_mean(self.attend[name](words, mask), mask))
        there = other.mask.any(1)
        rivals = positives | ~there[None, :] | ~there[:, None]
        scores = cosines(found["text"], found["positive"])
        lost: Tensor = top_k_hinge(scores, rivals, self.config.margin) * there
        return lost

    def _labelled(self, text: _Side, image: _Side) -> Float[Tensor, "B D"]:
        """Give what the label head reads of each caption: what regions see of the words, and words of the regions."""
        config = self.config
        if config.label_images == "batch":
            of_words, of_regions = self._mean_looks(image, text).mean(0), self._mean_looks(text, image)
            words = torch.einsum("tl,tld->td", of_words, text.late)
            regions = torch.einsum("til,ild->td", of_regions, image.late) / len(image)
        else:
            words = (self._own_mean_looks(image, text)[:, None] @ text.late).squeeze(1)
            regions = (self._own_mean_looks(text, image)[:, None] @ image.late).squeeze(1)
        return config.label_mix * words + (1 - config.label_mix) * regions

    def _mean_looks(self, asks: _Side, seen: _Side) -> Float[Tensor, "Na Nb Lb"]:
        """Give the weight of each token that is seen, averaged over the tokens that ask."""
        weights = self._looks(pair_affinity(asks.late, seen.late), asks, seen).transpose(0, 1)
        real = asks.mask[:, None, :, None]
        return (weights * real).sum(2) / real.sum(2).clamp(min=1)

    def _own_mean_looks(self, asks: _Side, seen: _Side) -> Float[Tensor, "B Lb"]:
        real = asks.mask[:, :, None]
        return (self._own_looks(asks, seen) * real).sum(1) / real.sum(1).clamp(min=1)
