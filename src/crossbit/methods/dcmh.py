"""`dcmh`: deep cross-modal hashing, supervised by labels; the honest peer of every supervised method here.

"Deep Cross-Modal Hashing", Jiang, Li; CVPR 2017.

    image pooled (B, P) -> standardise -> Linear, ReLU -> Linear -> tanh (B, K) = F
    text  pooled (B, P) -> standardise -> Linear, ReLU -> Linear -> tanh (B, K) = G
    L = likelihood of the label similarity under th = F G^T + gamma (|B - F|^2 + |B - G|^2) + eta balance,  B = sign(F + G)

From the paper: the likelihood, one code for both modalities of a training pair, both penalties and their weights, the two
layers of the text network.
Our reconstruction: frozen features in place of CNN-F and words, similarities inside the batch in place of buffers over all
training items, means in place of sums, th scaled so that it does not grow with K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from crossbit.batch import Batch, Encoded, Moment
from crossbit.errors import BatchError
from crossbit.methods.base import Method, sign
from crossbit.nn.hashing import HashNetwork, over_lengths
from crossbit.nn.losses import bit_balance, pairwise_likelihood, shares_label


@dataclass(frozen=True)
class DCMHConfig:
    """Settings of DCMH; the defaults are the paper's.

    Args:
        bits: K.
        hidden: width of the hidden layer.
        dropout: after it.
        quantisation: gamma.
        balance: eta.
        nested: let the first 16, 32, 64 ... bits be codes of their own, by the same losses on them.
    """

    bits: int = 64
    hidden: int = 4096
    dropout: float = 0.0
    quantisation: float = 1.0
    balance: float = 1.0
    nested: bool = False

    @classmethod
    def small(cls) -> DCMHConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(bits=128, hidden=512, dropout=0.2, quantisation=0.1)


class DCMH(Method):
    """Two hash networks that agree with labels; abilities: hashes."""

    Config = DCMHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: DCMHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: DCMHConfig = config
        self.networks = nn.ModuleDict(
            {view: HashNetwork(dims[view][1], config.hidden, config.bits, config.dropout) for view in self.reads}
        )

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of both inputs."""
        for view in self.reads:
            self.networks[view].standardise.learn(pooled[view])  # type: ignore[operator, union-attr]

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the relaxed code."""
        (view,) = views
        out: Tensor = self.networks[view.modality](view.pooled)
        return out

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give likelihood, quantisation and balance.

        Raises:
            BatchError: the data has no labels.
        """
        if batch.labels is None:
            raise BatchError(
                "dcmh: the data has no labels, expected some", "train a method that needs none, such as ucch"
            )
        config, image, text = self.config, self.relax(batch["image"]), self.relax(batch["text"])
        code = sign(image + text).detach()
        similar = shares_label(batch.labels)
        lost = (code - image).square().mean(1) + (code - text).square().mean(1)
        return {
            "similarity": over_lengths(
                config.bits, config.nested, lambda k: pairwise_likelihood(image[:, :k], text[:, :k], similar)
            ),
            "quantisation": config.quantisation * lost,
            "balance": config.balance * (bit_balance(image) + bit_balance(text)),
        }
