"""`fgcmh`: transformer-based cross-modal hashing for fine-grained image-text retrieval (TECMH).

"TECMH: Transformer-Based Cross-Modal Hashing For Fine-Grained Image-Text Retrieval", Li, Ma, Jiang, Li, Jin; Computers,
Materials & Continua 75(2), 2023.

    image tokens (B, L, D) -> + position, I-CLS first -> refine: transformer (B, 1+L, R) -> Linear, LayerNorm (B, 1+L, W)
    text  tokens (B, L, D) -> T-CLS first             ->                                  Linear, LayerNorm (B, 1+L, W)
    both -> reason: one transformer, weights shared by the modalities -> first token = global feature
         -> unit vector (B, W)                         the dense embedding
         -> Linear, tanh (B, K)                        the relaxed code; its signs are the bits

    L = rank(code) + dense_weight rank(dense) + quantisation_weight quantisation + balance_weight balance

From the paper's abstract: BERT for the text and no label vectors; image features that are refined; a transformer encoder that
reasons and yields global fine-grained features; hash codes, trained end to end; retrieval measured by R@K.
From its closest public relative, TERN (Messina and others, ICPR 2020): depth, heads and widths, I-CLS and T-CLS, the shared
reasoning weights, hinge with the hardest negative and margin 0.2.
Our reconstruction: the hash head, the loss on codes and its weights, mean negatives first, learned row and column positions for
the cells of a grid (a grid has no boxes), LayerNorm after the projections (so that shared weights see one scale), inputs
standardised by the training rows, the encoder's own summary corrected by the reasoning (`summary`), and one dense embedding
beside the code from the same run. The text side is whatever text encoder the model names; BERT-like by default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method
from crossbit.nn.attention import Encoder, prepend
from crossbit.nn.canonical import canonical_maps
from crossbit.nn.hashing import HashHead, HashKind, itq, nested_itq, over_lengths
from crossbit.nn.losses import (
    bit_balance,
    hinge,
    info_nce,
    inverse_temperature,
    learned_scale,
    quantisation,
    ramp,
    soft_margin,
)
from crossbit.nn.pooling import GPO, Pool, masked_max, masked_mean
from crossbit.nn.standardise import Standardise

LARGEST_GRID = 32
FIRST_GATE = 0.2


@dataclass(frozen=True)
class FGCMHConfig:
    """Settings; the defaults are TERN's sizes and our reconstruction of the rest.

    Args:
        bits: K.
        width: W of the common space.
        refine_width: R, the width in which image tokens are refined.
        refine_layers: transformer layers over image tokens alone; 0 leaves them as they are.
        reason_layers: layers of the reasoning encoder; 0 leaves it out.
        share_reasoning: one set of reasoning weights for both modalities.
        heads: attention heads.
        hidden: width of the two-layer networks inside the transformers.
        dropout: inside the transformers.
        input_dropout: share of input channels that a training step leaves out, of tokens and summaries alike.
        norm_first: LayerNorm before instead of after each block.
        grid: average an image grid down to this many cells a side; 0 keeps it.
        summary: show the encoder's pooled vector, projected, to the first token, and let what is reasoned correct it through
            a gate that starts nearly closed; without it the global feature is the reasoned token alone, as in TERN.
        canonical: start the projections of the pooled vectors from regularised canonical correlation analysis, and the
            hash heads from ITQ on top of it, instead of at random; needs `summary`.
        pool: how tokens become the global feature; "first" is the CLS token.
        hash: how the sign is relaxed.
        code_noise: spread of the noise that training adds before the relaxation, so that bits keep away from zero.
        loss: "hinge" (hardest negative) or "infonce".
        margin: of the hinge, on cosines and on code similarities alike.
        dense_weight: weight of the ranking loss on dense vectors.
        quantisation_weight: reached after the first third of training.
        balance_weight: of the bit balance.
        mean_negatives: share of training with the mean of the negatives instead of the hardest.
        nested: let the first 16, 32, 64 ... bits be codes of their own, by the same losses on them.
    """

    bits: int = 128
    width: int = 1024
    refine_width: int = 2048
    refine_layers: int = 4
    reason_layers: int = 2
    share_reasoning: bool = True
    heads: int = 4
    hidden: int = 2048
    dropout: float = 0.1
    input_dropout: float = 0.0
    norm_first: bool = False
    grid: int = 0
    summary: bool = True
    canonical: bool = False
    pool: Pool = "first"
    hash: HashKind = "tanh"
    code_noise: float = 0.0
    loss: Literal["hinge", "infonce"] = "hinge"
    margin: float = 0.2
    dense_weight: float = 1.0
    quantisation_weight: float = 0.1
    balance_weight: float = 0.01
    mean_negatives: float = 0.05
    nested: bool = False

    @classmethod
    def small(cls) -> FGCMHConfig:
        """Give the setting for two cores and a few thousand pairs, chosen on the validation split of openmoji."""
        return cls(
            width=256,
            refine_width=256,
            refine_layers=1,
            reason_layers=1,
            hidden=512,
            norm_first=True,
            grid=3,
            canonical=True,
            code_noise=0.4,
            loss="infonce",
            input_dropout=0.2,
            mean_negatives=0.2,
        )


class FGCMH(Method):
    """Reasons over tokens; abilities: embeds, hashes."""

    Config = FGCMHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    def __init__(self, config: FGCMHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: FGCMHConfig = config
        width, refined = config.width, config.refine_width
        self.standardise = nn.ModuleDict({f"{view}_tokens": Standardise(dims[view][0]) for view in self.reads})
        self.enter_image = nn.Linear(dims["image"][0], refined)
        self.rows = nn.Embedding(LARGEST_GRID, refined)
        self.columns = nn.Embedding(LARGEST_GRID, refined)
        self.refine = Encoder(
            refined, config.refine_layers, config.heads, config.hidden, config.dropout, config.norm_first
        )
        self.project = nn.ModuleDict({"image": nn.Linear(refined, width), "text": nn.Linear(dims["text"][0], width)})
        self.align = nn.ModuleDict({view: nn.LayerNorm(width) for view in self.reads})
        shared = 1 if config.share_reasoning else 2
        self.reason = nn.ModuleList(
            Encoder(width, config.reason_layers, config.heads, config.hidden, config.dropout, config.norm_first)
            for _ in range(shared)
        )
        self.first = nn.ParameterDict(
            {"image": nn.Parameter(torch.randn(refined) * 0.02), "text": nn.Parameter(torch.randn(width) * 0.02)}
        )
        if config.summary:
            self.standardise.update({f"{view}_pooled": Standardise(dims[view][1]) for view in self.reads})
            self.summarise = nn.ModuleDict({view: nn.Linear(dims[view][1], width) for view in self.reads})
            self.gate = nn.Parameter(torch.full((width,), FIRST_GATE))
        self.gpo = nn.ModuleDict({view: GPO() for view in self.reads} if config.pool == "gpo" else {})
        self.hash = nn.ModuleDict(
            {view: HashHead(width, config.bits, config.hash, noise=config.code_noise) for view in self.reads}
        )
        self.hash["text"].load_state_dict(
            self.hash["image"].state_dict()
        )  # own weights, one start: codes agree at once
        if config.loss == "infonce":
            self.log_scale = nn.ParameterDict({kind: learned_scale() for kind in ("code", "dense")})

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of tokens and summaries; start the summaries from canonical correlations if wanted."""
        for name, layer in self.standardise.items():
            view, kind = name.split("_")
            layer.learn(views[view].tokens[views[view].mask] if kind == "tokens" else pooled[view])  # type: ignore[operator]
        if self.config.summary and self.config.canonical:
            self._start_from_canonical_maps(pooled)

    @torch.no_grad()
    def _start_from_canonical_maps(self, pooled: Mapping[str, Tensor]) -> None:
        rows = {view: self.standardise[f"{view}_pooled"](pooled[view]) for view in self.reads}
        image, text, _ = canonical_maps(rows["image"], rows["text"], self.config.width)
        for view, found in (("image", image), ("text", text)):
            spread = (rows[view] @ found).square().sum(1).mean().sqrt() / math.sqrt(self.config.width)
            linear = self.summarise[view]
            linear.weight.zero_()  # type: ignore[operator, union-attr]
            linear.weight[: found.shape[1]] = found.T / spread.clamp(min=1e-6)  # type: ignore[index, operator]
            linear.bias.zero_()  # type: ignore[operator, union-attr]
        if self.config.hash != "select":
            joined = torch.cat([F.normalize(self.summarise[view](rows[view])) for view in self.reads])
            bits = self.config.bits
            start = nested_itq(joined, bits) if self.config.nested else itq(joined, bits, bits // 2)
            for head in self.hash.values():
                head.project.weight.copy_(start.T)  # type: ignore[operator, union-attr]
                head.project.bias.zero_()  # type: ignore[operator, union-attr]

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the dense unit embedding."""
        return F.normalize(self._global(*views), dim=-1)

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the relaxed code."""
        (view,) = views
        out: Tensor = self.hash[view.modality](self._global(view))
        return out

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the ranking losses of code and dense vector, quantisation and bit balance."""
        config, positives = self.config, batch.positives()
        image, text = self._global(batch["image"]), self._global(batch["text"])
        image_code, text_code = self.hash["image"](image), self.hash["text"](text)
        dense = F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T

        def code(k: int) -> Tensor:
            return self._rank("code", image_code[:, :k] @ text_code[:, :k].T / k, positives, batch, moment)

        return {
            "code": over_lengths(config.bits, config.nested, code),
            "dense": config.dense_weight * self._rank("dense", dense, positives, batch, moment),
            "quantisation": config.quantisation_weight
            * ramp(moment.progress, 1 / 3)
            * (quantisation(image_code) + quantisation(text_code)),
            "balance": config.balance_weight * (bit_balance(image_code) + bit_balance(text_code)),
        }

    def _rank(
        self, kind: str, similarity: Float[Tensor, "B B"], positives: Bool[Tensor, "B B"], batch: Batch, moment: Moment
    ) -> Float[Tensor, " B"]:
        if self.config.loss == "infonce":
            return info_nce(similarity, positives, inverse_temperature(self.log_scale[kind]))
        margin: float | Tensor = self.config.margin
        if batch.correspondence is not None:
            margin = soft_margin(self.config.margin, batch.correspondence)
        return hinge(similarity, positives, margin, moment.progress >= self.config.mean_negatives)

    def _global(self, view: Encoded) -> Float[Tensor, "B W"]:
        tokens, mask = self._refined(view) if view.modality == "image" else self._words(view)
        tokens = self.align[view.modality](tokens)
        reason = self.reason[0 if self.config.share_reasoning or view.modality == "image" else 1]
        if not self.config.summary:
            return self._reasoned(reason, view.modality, tokens, mask)
        summary = self.summarise[view.modality](self._standard(f"{view.modality}_pooled", view.pooled))
        tokens = torch.cat([tokens[:, :1] + summary[:, None], tokens[:, 1:]], 1)
        out: Tensor = summary + self.gate * self._reasoned(reason, view.modality, tokens, mask)
        return out

    def _reasoned(self, reason: nn.Module, modality: str, tokens: Tensor, mask: Tensor) -> Float[Tensor, "B W"]:
        if self.config.pool == "first":
            first: Tensor = reason(tokens, mask, 1)[:, 0]
            return first
        return self._pool(modality, reason(tokens, mask), mask)

    def _refined(self, view: Encoded) -> tuple[Tensor, Tensor]:
        tokens, mask = view.tokens, view.mask
        side = math.isqrt(tokens.shape[1])
        if side > 1 and side * side == tokens.shape[1]:
            tokens, mask, side = _coarser(tokens, mask, side, self.config.grid)
            place = torch.arange(side, device=tokens.device)
            position = (self.rows(place)[:, None] + self.columns(place)[None, :]).flatten(0, 1)  # (side * side, R)
            x = self.enter_image(self._standard("image_tokens", tokens)) + position
        else:
            x = self.enter_image(self._standard("image_tokens", tokens))
        x, mask = prepend(self.first["image"], x, mask)
        return self.project["image"](self.refine(x, mask)), mask

    def _words(self, view: Encoded) -> tuple[Tensor, Tensor]:
        return prepend(self.first["text"], self.project["text"](self._standard("text_tokens", view.tokens)), view.mask)

    def _standard(self, name: str, rows: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """Standardise, and in training drop input channels, the same ones in all tokens of an item."""
        rows = self.standardise[name](rows)
        if self.training and self.config.input_dropout:
            channels = rows[:, :1] if rows.ndim == 3 else rows
            rows = rows * F.dropout(torch.ones_like(channels), self.config.input_dropout)
        return rows

    def _pool(self, modality: str, tokens: Tensor, mask: Tensor) -> Float[Tensor, "B W"]:
        if self.config.pool == "mean":
            return masked_mean(tokens, mask)
        if self.config.pool == "max":
            return masked_max(tokens, mask)
        out: Tensor = self.gpo[modality](tokens, mask)
        return out


def _coarser(
    tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], side: int, grid: int
) -> tuple[Float[Tensor, "B M D"], Bool[Tensor, "B M"], int]:
    """Average the cells of a square grid down to `grid` a side; bands overlap by a cell where the sizes do not divide."""
    if not grid or side <= grid:
        return tokens, mask, side
    band = np.zeros((grid, side), np.float32)
    for row in range(grid):
        band[row, row * side // grid : -(-(row + 1) * side // grid)] = 1.0
    cells = torch.from_numpy(np.kron(band, band)).to(
        tokens
    )  # (grid * grid, side * side), NumPy: a constant once exported
    real = mask.to(tokens)
    weight = real @ cells.T  # (B, M)
    coarse = cells @ (tokens * real.unsqueeze(-1)) / weight.clamp(min=1).unsqueeze(-1)
    return coarse, weight > 0, grid
