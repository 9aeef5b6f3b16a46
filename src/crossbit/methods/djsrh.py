"""`djsrh`: deep joint-semantics reconstructing hashing, unsupervised: codes repeat the neighbourhoods of the features.

"Deep Joint-Semantics Reconstructing Hashing for Large-Scale Unsupervised Cross-Modal Retrieval", Su, Zhong, Zhang; ICCV 2019.

    S~ = beta cos(image features) + (1 - beta) cos(text features),  S = (1 - eta) S~ + eta S~ S~^T / B
    L = |mu S - cos(H_i, H_t)|^2 + lambda (|mu S - cos(H_i, H_i)|^2 + |mu S - cos(H_t, H_t)|^2)

From the paper: the joint affinity, beta 0.6, eta 0.4, mu 1.5, the three reconstructions, a tanh that sharpens with the epochs.
Our reconstruction: frozen features for both; features are centred before their cosines are taken, since those of frozen
encoders all lie between 0.7 and 0.9; lambda 0.1; means in place of sums. The pairing enters through the diagonal alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method
from crossbit.nn.hashing import HashNetwork, over_lengths
from crossbit.nn.losses import cosines


@dataclass(frozen=True)
class DJSRHConfig:
    """Settings of DJSRH; the defaults are the paper's.

    Args:
        bits: K.
        hidden: width of the hidden layer.
        dropout: after it.
        beta: share of the pictures in the joint affinity.
        eta: share of the affinities of affinities.
        mu: what the affinity is multiplied by before it is reconstructed.
        within: lambda, weight of the reconstructions within one modality.
        sharpen: let the tanh become steeper, by the root of the epoch.
        nested: let the first 16, 32, 64 ... bits be codes of their own, by the same losses on them.
    """

    bits: int = 64
    hidden: int = 4096
    dropout: float = 0.0
    beta: float = 0.6
    eta: float = 0.4
    mu: float = 1.5
    within: float = 0.1
    sharpen: bool = True
    nested: bool = False

    @classmethod
    def small(cls) -> DJSRHConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(bits=128, hidden=512, dropout=0.2)


class DJSRH(Method):
    """Two hash networks that rebuild the affinities of a batch; abilities: hashes."""

    Config = DJSRHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: DJSRHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: DJSRHConfig = config
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
        """Give the three reconstructions."""
        config = self.config
        target = config.mu * self._affinity(batch)
        steep = math.sqrt(moment.epoch + 1) if config.sharpen else 1.0
        image, text = (self.networks[view](batch[view].pooled, steep) for view in self.reads)

        def rebuilt(first: Tensor, second: Tensor) -> Tensor:
            def term(k: int) -> Tensor:
                return (target - cosines(first[:, :k], second[:, :k])).square().mean(1)

            return over_lengths(config.bits, config.nested, term)

        return {
            "across": rebuilt(image, text),
            "image": config.within * rebuilt(image, image),
            "text": config.within * rebuilt(text, text),
        }

    @torch.no_grad()
    def _affinity(self, batch: Batch) -> Float[Tensor, "B B"]:
        config = self.config
        image, text = (self.networks[view].standardise(batch[view].pooled) for view in self.reads)  # type: ignore[operator, union-attr]
        joint = config.beta * cosines(image, image) + (1 - config.beta) * cosines(text, text)
        return (1 - config.eta) * joint + config.eta * joint @ joint.T / len(batch)
