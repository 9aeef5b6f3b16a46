"""`cmdn`: cross-media multiple deep networks, the real-valued deep baseline of the residual-network paper.

"Cross-media Shared Representation by Hierarchical Learning with Multiple Deep Networks", Peng, Huang, Qi; IJCAI 2016.

    pooled (B, P) -> denoising autoencoder              -> own representation of the modality   (B, W)
    pooled (B, P) -> autoencoder that also rebuilds the
                     other modality                     -> representation across modalities     (B, W)
    both, concatenated -> Linear -> shared vector (B, K)   cosine is what is compared; codes are signs about the bits' means
    L = rebuilding + cross-rebuilding + correspondence of the shared vectors + labels

From the paper (as recalled; its full text was not at hand): two stages, separate representations within and across modalities,
joined and then shared with correspondence and labels.
Our reconstruction: denoising autoencoders in place of restricted Boltzmann machines (the same role, by back-propagation), both
stages trained together, widths, weights, several labels an item in place of one class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method
from crossbit.nn.layers import two_layers
from crossbit.nn.losses import info_nce
from crossbit.nn.standardise import Standardise

_INVERSE_TEMPERATURE = 10.0


@dataclass(frozen=True)
class CMDNConfig:
    """Settings of CMDN.

    Args:
        bits: width of the shared vector, and of its code.
        hidden: width of the first layer of each autoencoder.
        width: W of both representations.
        classes: how many labels the classifier tells apart; 0 trains without labels. Training fills it in.
        noise: share of the inputs that denoising leaves out.
        rebuilding: weight of the autoencoders.
        correspondence: weight of finding the partner by the shared vectors.
        labels: weight of the classifier.
    """

    bits: int = 64
    hidden: int = 1024
    width: int = 512
    classes: int = 0
    noise: float = 0.2
    rebuilding: float = 1.0
    correspondence: float = 1.0
    labels: float = 1.0

    @classmethod
    def small(cls) -> CMDNConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(bits=128, hidden=512, width=256)


class CMDN(Method):
    """Separate representations, then a shared one; abilities: embeds, hashes."""

    Config = CMDNConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: CMDNConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: CMDNConfig = config
        widths = {view: dims[view][1] for view in self.reads}
        self.standardise = nn.ModuleDict({view: Standardise(width) for view, width in widths.items()})
        self.within = nn.ModuleDict({view: two_layers(w, config.hidden, config.width) for view, w in widths.items()})
        self.across = nn.ModuleDict({view: two_layers(w, config.hidden, config.width) for view, w in widths.items()})
        self.rebuild = nn.ModuleDict({view: two_layers(config.width, config.hidden, w) for view, w in widths.items()})
        self.translate = nn.ModuleDict({view: two_layers(config.width, config.hidden, w) for view, w in widths.items()})
        self.share = nn.ModuleDict({view: nn.Linear(2 * config.width, config.bits) for view in self.reads})
        self.centre = nn.ModuleDict({view: nn.BatchNorm1d(config.bits, affine=False) for view in self.reads})
        self.classify = nn.Linear(config.bits, config.classes) if config.classes else None

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of both inputs."""
        for view in self.reads:
            self.standardise[view].learn(pooled[view])  # type: ignore[operator]

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the shared vector, which is what the paper compares."""
        return F.normalize(self._shared(views[0].modality, self._standard(views[0]))[0], dim=-1)

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the shared vector about the means of its bits, squashed."""
        return torch.tanh(self._shared(views[0].modality, self._standard(views[0]))[0])

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give rebuilding within and across, correspondence and labels."""
        config, clean = self.config, {view: self._standard(batch[view]) for view in self.reads}
        noisy = {view: F.dropout(rows, config.noise, self.training) for view, rows in clean.items()}
        found = {view: self._shared(view, rows) for view, rows in noisy.items()}
        rebuilt = torch.zeros(len(batch), device=batch.item.device)
        for view, other in (("image", "text"), ("text", "image")):
            _, within, across = found[view]
            rebuilt = rebuilt + (self.rebuild[view](within) - clean[view]).square().mean(1)
            rebuilt = rebuilt + (self.translate[other](across) - clean[other]).square().mean(1)
        image, text = found["image"][0], found["text"][0]
        similarity = F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
        together = info_nce(similarity, batch.positives(), _INVERSE_TEMPERATURE)
        terms = {"rebuilding": config.rebuilding * rebuilt, "correspondence": config.correspondence * together}
        if self.classify is not None and batch.labels is not None:
            wrong = [
                F.binary_cross_entropy_with_logits(self.classify(shared), batch.labels, reduction="none").mean(1)
                for shared in (image, text)
            ]
            terms["labels"] = config.labels * (wrong[0] + wrong[1])
        return terms

    def _standard(self, view: Encoded) -> Float[Tensor, "B P"]:
        rows: Tensor = self.standardise[view.modality](view.pooled)
        return rows

    def _shared(self, view: str, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        within, across = self.within[view](rows), self.across[view](rows)
        return self.centre[view](self.share[view](torch.cat([within, across], 1))), within, across
