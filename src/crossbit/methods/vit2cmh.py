"""`vit2cmh`: vision transformer cross-modal hashing: summaries of a ViT and of a BERT become codes that R@K is measured on.

"ViT2CMH: Vision Transformer Cross-Modal Hashing for Fine-Grained Vision-Text Retrieval", Li, Li, Jiang, Ma; Computer Systems
Science and Engineering 46(2), 2023.

    image: ViT, its first token (B, P)  -> standardise -> Linear, ReLU, Dropout -> Linear -> tanh (B, K) = F
    text:  BERT, its summary (B, P)     -> standardise -> Linear, ReLU, Dropout -> Linear -> tanh (B, K) = G
       or  words (B, L, D) -> Bi-GRU, mean over the words (B, H) -> the same layers
    L = rank(F G^T / K) + quantisation_weight |F - sign F|^2 + balance_weight (mean of each bit)^2

From the paper's abstract: BERT for the text and a vision transformer for the picture in place of RNN and CNN, features to hash
codes without label vectors, retrieval measured by R@K against hashing and matching methods.
Our reconstruction: the two layers of the hash network, the hinge with the hardest negative and margin 0.2 after mean negatives,
quantisation and balance with their weights (all as `fgcmh` has them, so that the two differ in what their papers say differs),
frozen towers whose summaries are standardised by the training rows. The towers are whatever encoders the training names:
`vit:NAME` or `small-vit:FOLDER`, `bert:NAME` or a packaged one; `resnet:NAME`, `small-resnet:FOLDER` and `text_net: gru` are
the CNN and the RNN that the paper replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from crossbit.batch import Batch, Encoded, Moment
from crossbit.errors import BatchError
from crossbit.methods.base import Method
from crossbit.nn.gru import BiGRU, WordGRU
from crossbit.nn.hashing import HashNetwork, over_lengths
from crossbit.nn.losses import (
    bit_balance,
    hinge,
    info_nce,
    inverse_temperature,
    learned_scale,
    pairwise_likelihood,
    quantisation,
    shares_label,
    soft_margin,
)
from crossbit.nn.pooling import masked_mean


@dataclass(frozen=True)
class ViT2CMHConfig:
    """Settings of ViT2CMH; all are our reconstruction.

    Args:
        bits: K.
        hidden: width of the hidden layer.
        dropout: after it.
        text_net: "pooled", the text encoder's summary, as the paper's BERT gives it; "gru" over its tokens, meant for plain
            word embeddings (encoder `minilm-words`); "vocabulary", a GRU over words of its own (encoder `words`).
        gru_hidden: H of the GRU.
        word_width: width of what the GRU reads: embeddings are mapped to it, a vocabulary's are so wide.
        words: size of the GRU's own vocabulary.
        loss: "hinge", "infonce", or "dcmh", the likelihood of common labels.
        margin: of the hinge.
        mean_negatives: share of training that uses the mean of the negatives before the hardest.
        quantisation_weight: of the distance to the signs.
        balance_weight: of the squared mean of each bit.
        nested: let the first 16, 32, 64 ... bits be codes of their own, by the same losses on them.
    """

    bits: int = 64
    hidden: int = 1024
    dropout: float = 0.1
    text_net: Literal["pooled", "gru", "vocabulary"] = "pooled"
    gru_hidden: int = 1024
    word_width: int = 300
    words: int = 4000
    loss: Literal["hinge", "infonce", "dcmh"] = "hinge"
    margin: float = 0.2
    mean_negatives: float = 0.1
    quantisation_weight: float = 0.1
    balance_weight: float = 0.01
    nested: bool = False

    @classmethod
    def small(cls) -> ViT2CMHConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(bits=128, hidden=512, dropout=0.2, gru_hidden=192, word_width=128)


class ViT2CMH(Method):
    """Two hash networks over two towers that never meet; abilities: hashes."""

    Config = ViT2CMHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    def __init__(self, config: ViT2CMHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: ViT2CMHConfig = config
        self.reads_tokens = False if config.text_net == "pooled" else ("text",)  # type: ignore[misc]
        self.gru = _gru(config, dims["text"][0])
        widths = {"image": dims["image"][1], "text": config.gru_hidden if self.gru is not None else dims["text"][1]}
        self.networks = nn.ModuleDict(
            {view: HashNetwork(widths[view], config.hidden, config.bits, config.dropout) for view in self.reads}
        )
        if config.loss == "infonce":
            self.log_scale = learned_scale()

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of the summaries, and the vocabulary from the training captions alone."""
        if isinstance(self.gru, WordGRU):
            self.gru.vocabulary.learn(captions)
        for view in self.reads if self.gru is None else ("image",):  # a GRU's states lie between -1 and 1
            self.networks[view].standardise.learn(pooled[view])  # type: ignore[operator, union-attr]

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the relaxed code."""
        (view,) = views
        out: Tensor = self.networks[view.modality](self._features(view))
        return out

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give ranking, quantisation and balance.

        Raises:
            BatchError: `loss` is "dcmh" and the data has no labels.
        """
        config, image, text = self.config, self.relax(batch["image"]), self.relax(batch["text"])
        rank = self._rank(batch, moment)
        return {
            "rank": over_lengths(config.bits, config.nested, lambda k: rank(image[:, :k], text[:, :k])),
            "quantisation": config.quantisation_weight * (quantisation(image) + quantisation(text)) / 2,
            "balance": config.balance_weight * (bit_balance(image) + bit_balance(text)) / 2,
        }

    def _rank(self, batch: Batch, moment: Moment) -> Callable[[Tensor, Tensor], Tensor]:
        config = self.config
        if config.loss == "dcmh":
            if batch.labels is None:
                raise BatchError("vit2cmh: the data has no labels, expected some", "or train with loss=hinge")
            similar = shares_label(batch.labels)
            return lambda image, text: pairwise_likelihood(image, text, similar)
        positives = batch.positives()
        if config.loss == "infonce":
            scale = inverse_temperature(self.log_scale)
            return lambda image, text: info_nce(image @ text.T / image.shape[1], positives, scale)
        margin: float | Tensor = config.margin
        if batch.correspondence is not None:
            margin = soft_margin(config.margin, batch.correspondence)
        hardest = moment.progress >= config.mean_negatives
        return lambda image, text: hinge(image @ text.T / image.shape[1], positives, margin, hardest)

    def _features(self, view: Encoded) -> Float[Tensor, "B P"]:
        if view.modality != "text" or self.gru is None:
            return view.pooled
        return masked_mean(self.gru(view.tokens, view.mask)[0], view.mask)


class _NarrowGRU(nn.Module):
    """A GRU over word embeddings that are mapped to a width of its own."""

    def __init__(self, width: int, narrowed: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Linear(width, narrowed), nn.Dropout(dropout))
        self.read = BiGRU(narrowed, hidden)

    def forward(
        self, tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B L H"], Float[Tensor, "B H"]]:
        states: tuple[Tensor, Tensor] = self.read(self.narrow(tokens), mask)
        return states


def _gru(config: ViT2CMHConfig, width: int) -> nn.Module | None:
    if config.text_net == "pooled":
        return None
    if config.text_net == "vocabulary":
        return WordGRU(config.words, config.word_width, config.gru_hidden)
    return _NarrowGRU(width, config.word_width, config.gru_hidden, config.dropout)
