"""`vsepp`: VSE++, the plain dual encoder that everything else has to beat.

"VSE++: Improving Visual-Semantic Embeddings with Hard Negatives", Faghri, Fleet, Kiros, Fidler; BMVC 2018.

    image pooled (B, P) -> standardise -> Linear -> unit (B, E)
    text  pooled (B, P) -> standardise -> Linear -> unit (B, E)
    loss: hinge triplet with the hardest negative of the batch, margin 0.2

From the paper: one linear map for the picture, the hinge and its hardest negative, margin, one epoch or more of mean negatives
before (their schedule trains with a lower rate first).
Our reconstruction: the sentence comes from a frozen BERT instead of a GRU; an optional hidden layer (`hidden`), dropout on the
inputs, and `loss="infonce"` as a switch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method
from crossbit.nn.losses import hinge, info_nce, inverse_temperature, learned_scale, soft_margin
from crossbit.nn.standardise import Standardise


@dataclass(frozen=True)
class VSEPPConfig:
    """Settings of VSE++; the defaults are the paper's.

    Args:
        width: E of the common space.
        hidden: width of a hidden layer in front; 0 for the paper's linear map.
        margin: of the hinge.
        mean_negatives: share of training that uses the mean of the negatives before the hardest.
        loss: "hinge" as in the paper or "infonce".
        dropout: on the inputs of the heads.
    """

    width: int = 1024
    hidden: int = 0
    margin: float = 0.2
    mean_negatives: float = 0.1
    loss: Literal["hinge", "infonce"] = "hinge"
    dropout: float = 0.0

    @classmethod
    def small(cls) -> VSEPPConfig:
        """Give the setting for two cores and a few thousand pairs."""
        return cls(width=256, dropout=0.2)


class VSEPP(Method):
    """Two heads into one space; abilities: embeds."""

    Config = VSEPPConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: VSEPPConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: VSEPPConfig = config
        self.standardise = nn.ModuleDict({view: Standardise(dims[view][1]) for view in self.reads})
        self.heads = nn.ModuleDict({view: _head(dims[view][1], config) for view in self.reads})
        if config.loss == "infonce":
            self.log_scale = learned_scale()

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of both inputs."""
        for view in self.reads:
            self.standardise[view].learn(pooled[view])  # type: ignore[operator]

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give unit vectors of pictures or of sentences."""
        (view,) = views
        return F.normalize(self.heads[view.modality](self.standardise[view.modality](view.pooled)), dim=-1)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the hinge (or InfoNCE) of each pair."""
        similarity = self.embed(batch["image"]) @ self.embed(batch["text"]).T
        positives = batch.positives()
        if self.config.loss == "infonce":
            return {"infonce": info_nce(similarity, positives, inverse_temperature(self.log_scale))}
        margin: float | Tensor = self.config.margin
        if batch.correspondence is not None:
            margin = soft_margin(self.config.margin, batch.correspondence)
        hardest = moment.progress >= self.config.mean_negatives
        return {"hinge": hinge(similarity, positives, margin, hardest)}


def _head(width: int, config: VSEPPConfig) -> nn.Module:
    if not config.hidden:
        return nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.width))
    return nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.width),
    )
