"""`vse_infinity`: VSE-infinity, a dual encoder whose pooling is learned.

"Learning the Best Pooling Strategy for Visual Semantic Embedding", Chen, Hu, Wu, Jiang, Wang; CVPR 2021.

    image tokens (B, L, D) -> standardise -> Linear + residual MLP (B, L, E) -> GPO -> unit (B, E)
    text  tokens (B, L, D) -> standardise -> Linear                (B, L, E) -> GPO -> unit (B, E)
    loss: hinge triplet, mean of the negatives first, then the hardest, margin 0.2

From the paper: the generalised pooling operator with one instance a modality, the residual MLP on regions, size augmentation
(regions and words are left out at random, so that the pooling sees many lengths), the hinge and its warm-up.
Our reconstruction: frozen word features in place of a BERT that is trained along (or a vocabulary and a Bi-GRU, their other
text side), standardised inputs, pooling that begins as the mean, switches: InfoNCE, fewer cells, projections that start from
canonical correlations, an MLP of the pooled vector beside the pooled tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method
from crossbit.nn.canonical import pooled_fit, start_from_pooled
from crossbit.nn.dropping import drop_tokens
from crossbit.nn.grid import coarser
from crossbit.nn.gru import EMBEDDING, WordGRU
from crossbit.nn.layers import two_layers
from crossbit.nn.losses import hinge, info_nce, inverse_temperature, learned_scale, soft_margin
from crossbit.nn.pooling import GPO, masked_mean
from crossbit.nn.real import channels_kept, kept_of, on_real, ready_of
from crossbit.nn.standardise import Standardise


@dataclass(frozen=True)
class VSEInfinityConfig:
    """Settings of VSE-infinity; the defaults are the paper's.

    Args:
        width: E of the common space.
        hidden: width inside the residual MLP of the regions; 0 leaves the MLP out.
        summary: width inside an MLP of the encoder's pooled vector, whose result is added to what GPO gives: what frozen
            features need in place of encoders that are trained along; 0 leaves it out.
        grid: average a picture's grid down to this many cells a side; 0 keeps it.
        drop: share of regions and words that training leaves out.
        dropout: on the channels of the inputs.
        margin: of the hinge.
        mean_negatives: share of training that uses the mean of the negatives before the hardest.
        loss: "hinge" as in the paper, or "infonce".
        pool: "gpo" as in the paper, or "mean", with which it is VSE++ on tokens.
        canonical: start the projections from canonical correlations of the pooled features and the residual MLP at zero,
            instead of at random; it needs frozen features on both sides,
            with summaries as wide as tokens.
        vocabulary: words that a vocabulary of its own knows, learned from the training captions and read by a Bi-GRU, as in the
            paper; it needs the encoder `words`. 0 reads the features of a frozen text encoder.
    """

    width: int = 1024
    hidden: int = 512
    summary: int = 0
    grid: int = 0
    drop: float = 0.2
    dropout: float = 0.0
    margin: float = 0.2
    mean_negatives: float = 0.04
    loss: Literal["hinge", "infonce"] = "hinge"
    pool: Literal["gpo", "mean"] = "gpo"
    canonical: bool = False
    vocabulary: int = 0

    @classmethod
    def small(cls) -> VSEInfinityConfig:
        """Give the setting for two cores and a few thousand pairs, chosen on the validation split of picto."""
        return cls(width=256, hidden=64, summary=512, grid=4, dropout=0.2, loss="infonce", canonical=True)


class VSEInfinity(Method):
    """Pools tokens by learned weights of their ranks; abilities: embeds."""

    Config = VSEInfinityConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    def __init__(self, config: VSEInfinityConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: VSEInfinityConfig = config
        width = config.width
        frozen = ("image",) if config.vocabulary else self.reads
        self.standardise = nn.ModuleDict({view: Standardise(dims[view][0]) for view in frozen})
        self.project = nn.ModuleDict({view: nn.Linear(dims[view][0], width) for view in frozen})
        self.words = WordGRU(config.vocabulary, EMBEDDING, width) if config.vocabulary else None
        self.gpo = nn.ModuleDict(
            {view: GPO(even=True, quick=True) for view in self.reads} if config.pool == "gpo" else {}
        )
        self.residual = nn.Sequential()
        if config.hidden:
            self.residual = two_layers(dims["image"][0], config.hidden, width)
        self.summarise = nn.ModuleDict()
        if config.summary:
            self.summarise = nn.ModuleDict({view: two_layers(dims[view][1], config.summary, width) for view in frozen})
            self.standardise.update({f"{view}_pooled": Standardise(dims[view][1]) for view in frozen})
        if config.loss == "infonce":
            self.log_scale = learned_scale()

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of the tokens, and the vocabulary if there is one."""
        for name, standardise in self.standardise.items():
            view, _, whole = name.partition("_")
            standardise.learn(pooled[view] if whole else views[view].tokens[views[view].mask])  # type: ignore[operator]
        if self.words is not None:
            self.words.vocabulary.learn(captions)
        elif self.config.canonical and pooled_fit(self.dims):
            layers = [(self.project[view], self.standardise[view]) for view in self.reads]
            beside = [self.residual, *self.summarise.values()]
            start_from_pooled(layers, [pooled[view] for view in self.reads], beside)  # type: ignore[arg-type]

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give unit vectors of pictures or of sentences."""
        (view,) = views
        view = coarser(view, self.config.grid)
        if self.training and self.config.drop:
            view = replace(view, mask=drop_tokens(view.mask, self.config.drop))
        pool = self.gpo[view.modality] if self.config.pool == "gpo" else masked_mean
        kept = channels_kept(view.tokens, self.config.dropout) if self.training else None
        found = pool(self._local(view, kept), view.mask)
        if view.modality in self.summarise:
            whole = self.standardise[f"{view.modality}_pooled"](view.pooled)
            found = found + self.summarise[view.modality](kept_of(whole, kept, self.config.dropout))
        return F.normalize(found, dim=-1)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the hinge (or InfoNCE) of each pair."""
        similarity, positives = self.embed(batch["image"]) @ self.embed(batch["text"]).T, batch.positives()
        if self.config.loss == "infonce":
            return {"infonce": info_nce(similarity, positives, inverse_temperature(self.log_scale))}
        margin: float | Tensor = self.config.margin
        if batch.correspondence is not None:
            margin = soft_margin(self.config.margin, batch.correspondence)
        return {"hinge": hinge(similarity, positives, margin, moment.progress >= self.config.mean_negatives)}

    def _local(self, view: Encoded, kept: Float[Tensor, "B D"] | None) -> Float[Tensor, "B L E"]:
        if self.words is not None and view.modality == "text":
            states: Tensor = self.words(view.tokens, view.mask)[0]
            return states
        if not self.training:
            return self._each(view.modality, self.standardise[view.modality](view.tokens))
        ready = ready_of(self.standardise[view.modality], kept)
        return on_real(ready, partial(self._each, view.modality), view.tokens, view.mask)

    def _each(self, modality: str, tokens: Float[Tensor, "*N D"]) -> Float[Tensor, "*N E"]:
        local: Tensor = self.project[modality](tokens)
        return local + self.residual(tokens) if modality == "image" and self.config.hidden else local
