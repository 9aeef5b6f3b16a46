"""`cmhr_drn`: cross-modal hashing retrieval based on a deep residual network.

"Cross-Modal Hashing Retrieval Based on Deep Residual Network", Li, Xu, Zhang, Zhang; Computer Systems Science & Engineering
36(2), 2021.

    image pooled (B, P), of a residual network -> Linear, ReLU -> Linear -> tanh (B, K) = F
    text  words -> TF-IDF (B, V)               -> Linear, ReLU -> Linear -> tanh (B, K) = G
    L = J_sim + gamma J_quant + eta J_bal + delta J_dist
    J_sim   likelihood of the label similarity under the codes, as in DCMH
    J_quant |B - F|^2 + |B - G|^2,  B = sign(F + G)
    J_bal   squared mean of each bit
    J_dist  squared difference of the cosines of codes and of the features they come from, within and across modalities

From the paper's abstract: features of a deep residual network; TF-IDF with a fully connected network; supervised learning of
both hash functions into one Hamming space that keeps the distances of the original and of the common space; Adam for the
rates, SGD.
Our reconstruction: the form of all four terms (J_sim, J_quant and J_bal are DCMH's, J_dist is the direct reading of "distances
unchanged as far as possible"), sizes, and mini-batches with Adam as the reading of "Adam and SGD". The network of the pictures
is whatever image encoder the training names: `resnet:NAME`, or the packaged one, which is residual as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossbit.batch import Batch, Encoded, Moment
from crossbit.errors import BatchError
from crossbit.methods.base import Method, sign
from crossbit.nn.hashing import HashNetwork, over_lengths
from crossbit.nn.losses import bit_balance, cosines, pairwise_likelihood, shares_label
from crossbit.nn.vocabulary import Vocabulary


@dataclass(frozen=True)
class CMHRDRNConfig:
    """Settings of CMHR-DRN; sizes are our reconstruction.

    Args:
        bits: K.
        hidden: width of the hidden layers.
        dropout: after them.
        text_net: "tfidf" over a vocabulary of its own, which reads the encoder `words`, or "pooled", which reads any.
        words: V, words of the vocabulary.
        similarity: weight of J_sim; 0 leaves the labels out.
        balanced: similar and other pairs count alike, however dense the labels are.
        quantisation: gamma.
        balance: eta.
        distance: delta.
        nested: let the first 16, 32, 64 ... bits be codes of their own, by the same losses on them.
    """

    bits: int = 64
    hidden: int = 512
    dropout: float = 0.0
    text_net: Literal["tfidf", "pooled"] = "tfidf"
    words: int = 2000
    similarity: float = 1.0
    balanced: bool = True
    quantisation: float = 1.0
    balance: float = 1.0
    distance: float = 0.5
    nested: bool = False

    @classmethod
    def small(cls) -> CMHRDRNConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(bits=128, dropout=0.2, quantisation=0.1)


class CMHRDRN(Method):
    """Two hash networks that keep distances; abilities: hashes."""

    Config = CMHRDRNConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    prefers: ClassVar[Mapping[str, str]] = {"text": "words"}

    def __init__(self, config: CMHRDRNConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: CMHRDRNConfig = config
        counted = config.text_net == "tfidf"
        self.reads_tokens = ("text",) if counted else False  # type: ignore[misc]
        widths = {"image": dims["image"][1], "text": config.words if counted else dims["text"][1]}
        self.vocabulary = Vocabulary(config.words) if counted else None
        self.networks = nn.ModuleDict(
            {view: HashNetwork(widths[view], config.hidden, config.bits, config.dropout) for view in self.reads}
        )

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn the vocabulary from the training captions alone, and mean and spread of both inputs."""
        if self.vocabulary is not None:
            self.vocabulary.learn(captions)
        self.networks["image"].standardise.learn(pooled["image"])  # type: ignore[operator, union-attr]
        self.networks["text"].standardise.learn(self._features(views["text"]))  # type: ignore[operator, union-attr]

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the relaxed code."""
        (view,) = views
        out: Tensor = self.networks[view.modality](self._features(view))
        return out

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the four terms.

        Raises:
            BatchError: the data has no labels, and `similarity` is not 0.
        """
        config = self.config
        features = {view: self._features(batch[view]) for view in self.reads}
        image, text = (self.networks[view](features[view]) for view in self.reads)
        code = sign(image + text).detach()
        terms = {
            "quantisation": config.quantisation * ((code - image).square().mean(1) + (code - text).square().mean(1)),
            "balance": config.balance * (bit_balance(image) + bit_balance(text)),
        }
        if config.similarity:
            if batch.labels is None:
                raise BatchError("cmhr_drn: the data has no labels, expected some", "or train with similarity=0")
            similar = shares_label(batch.labels)
            terms["similarity"] = config.similarity * over_lengths(
                config.bits,
                config.nested,
                lambda k: pairwise_likelihood(image[:, :k], text[:, :k], similar, config.balanced),
            )
        if config.distance:
            terms["distance"] = config.distance * over_lengths(
                config.bits, config.nested, lambda k: self._distances(features, image[:, :k], text[:, :k])
            )
        return terms

    def _features(self, view: Encoded) -> Float[Tensor, "B P"]:
        if view.modality == "text" and self.vocabulary is not None:
            return self.vocabulary.tf_idf(view.tokens, view.mask)
        return view.pooled

    def _distances(self, features: Mapping[str, Tensor], image: Tensor, text: Tensor) -> Float[Tensor, " B"]:
        """Compare the cosines of codes with those of features that were spread over [-1, 1]."""
        with torch.no_grad():
            before = {view: _spread(cosines(features[view], features[view])) for view in self.reads}
            both = (before["image"] + before["text"]) / 2
        within = (cosines(image, image) - before["image"]).square() + (cosines(text, text) - before["text"]).square()
        return (within + (cosines(image, text) - both).square()).mean(1)


def _spread(cosines: Float[Tensor, "B B"]) -> Float[Tensor, "B B"]:
    """Stretch to [-1, 1]: cosines of features that are all positive never fall below zero."""
    low, high = cosines.min(), cosines.max()
    return 2 * (cosines - low) / (high - low).clamp(min=1e-6) - 1
