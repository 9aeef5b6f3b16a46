"""`vse_fusion`: a visual semantic embedding with an alignment module and a multimodal fusion encoder.

"Adequate alignment and interaction for cross-modal retrieval", Wang, Meng, Liu, Wu; Virtual Reality & Intelligent Hardware
5(6), 2023.

    tokens (B, L, D) -> h: standardise, Linear, residual MLP (B, L, E) = locals -> g: GPO -> unit (B, E) = embedding
    momentum copies of h and g -> keys for two queues of past items
    fusion h_f: [first], image, text (and in one reading all their locals) -> transformer -> match or not
    L = hinge + itc + ims + lmi + itm
    hinge  embeddings of the batch, hardest negative
    itc    image against momentum texts of batch and queue, and the reverse, soft targets     alignment across modalities
    ims    image against momentum images, text against momentum texts                         separability within one
    lmi    each item's embedding against its own locals and those of the others               global and local agree
    itm    fusion tells a pair from two mined wrong ones

From the paper (abstract and the figure of its news release): GPO aggregators, momentum encoders that supply negatives, the
three alignment objectives by these names, a fusion encoder over aggregated features at the end.
Our reconstruction: everything else, after TCL and ALBEF (queues, soft targets, mined negatives, projections), with weights of 1
and 0.2 for the hinge; frozen word features; pooling begins as the mean; projections may start from canonical correlations, and
an MLP of the pooled vector stand beside the pooled tokens; `fusion_input` holds both readings of what the fusion
encoder sees. Embeddings are indexed, `score` re-ranks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.batch import Batch, Encoded, Moment, Views
from crossbit.methods.base import Method
from crossbit.nn.attention import Encoder
from crossbit.nn.canonical import pooled_fit, start_from_pooled
from crossbit.nn.dropping import drop_tokens
from crossbit.nn.grid import coarser, on_all_cells, spread
from crossbit.nn.gru import EMBEDDING, WordGRU
from crossbit.nn.layers import two_layers
from crossbit.nn.losses import (
    NEVER,
    global_to_local,
    hinge,
    info_nce,
    inverse_temperature,
    learned_scale,
    ramp,
    soft_margin,
)
from crossbit.nn.pooling import GPO
from crossbit.nn.real import channels_kept, kept_of, on_real, ready_of
from crossbit.nn.standardise import Standardise

_PAIRS = 4096
"""Pairs that the fusion encoder scores at a time."""


@dataclass(frozen=True)
class VSEFusionConfig:
    """Settings of the method; sizes are our reconstruction.

    Args:
        width: E of locals and embeddings.
        hidden: width inside the residual MLP of the regions.
        summary: width inside an MLP of the encoder's pooled vector, whose result is added to what GPO gives: what frozen
            features need in place of encoders that are trained along; 0 leaves it out.
        grid: average a picture's grid down to this many cells a side; 0 keeps it.
        projection: width in which itc, ims and lmi compare.
        drop: share of regions and words that training leaves out.
        dropout: on the channels of the inputs, and inside the fusion encoder.
        margin: of the hinge.
        mean_negatives: share of training that uses the mean of the negatives before the hardest.
        momentum: share of the old weights in the momentum copies; TCL's 0.995 is for long training, after 300 steps the copies
            would be mostly what they were in the beginning.
        queue: past items that are kept as negatives; never more than a quarter of the training captions.
        soft_targets: share of the momentum copies' own belief in the targets of itc, reached after the first tenth.
        loss: of the embeddings in the batch: "hinge", or "infonce" in its place.
        hinge_weight: weight of this loss.
        itc_weight: weight of the contrast across modalities; 0 leaves it out.
        ims_weight: weight of the separability within one; 0 leaves it out.
        lmi_weight: weight of global against local; 0 leaves it out.
        itm_weight: weight of the fusion encoder's task; 0 leaves it out, and `score` is then the cosine.
        fusion_input: "global" sees the two embeddings, "tokens" all locals as well.
        fusion_layers: of the fusion encoder.
        fusion_heads: of its attention.
        match_cosine: the logit of a match begins as the cosine over a learned temperature, and the fusion encoder learns what
            to add to it; without it, it has to learn from two vectors alone what the cosine is.
        cosine_share: how much of the cosine `score` adds to the probability of a match.
        canonical: start the projections from canonical correlations of the pooled features, the residual MLP at zero and the
            heads of itc, ims and lmi alike, instead of at random; it needs frozen features on both sides,
            with summaries as wide as tokens.
        vocabulary: words that a vocabulary of its own knows, learned from the training captions and read by a Bi-GRU; it needs
            the encoder `words`. 0 reads the features of a frozen text encoder.
    """

    width: int = 1024
    hidden: int = 512
    summary: int = 0
    grid: int = 0
    projection: int = 256
    drop: float = 0.2
    dropout: float = 0.1
    margin: float = 0.2
    mean_negatives: float = 0.04
    momentum: float = 0.995
    queue: int = 4096
    soft_targets: float = 0.4
    loss: Literal["hinge", "infonce"] = "hinge"
    hinge_weight: float = 0.2
    itc_weight: float = 1.0
    ims_weight: float = 1.0
    lmi_weight: float = 1.0
    itm_weight: float = 1.0
    fusion_input: Literal["global", "tokens"] = "tokens"
    fusion_layers: int = 2
    fusion_heads: int = 8
    match_cosine: bool = False
    cosine_share: float = 0.5
    canonical: bool = False
    vocabulary: int = 0

    @classmethod
    def small(cls) -> VSEFusionConfig:
        """Give the setting for two cores and a few thousand pairs, chosen on the validation split of picto."""
        return cls(
            width=256,
            hidden=64,
            summary=512,
            grid=4,
            projection=256,
            dropout=0.2,
            momentum=0.95,
            queue=1024,
            soft_targets=0.2,
            loss="infonce",
            hinge_weight=1.0,
            itc_weight=0.5,
            ims_weight=0.1,
            lmi_weight=0.1,
            itm_weight=0.5,
            fusion_input="global",
            fusion_layers=1,
            fusion_heads=4,
            match_cosine=True,
            canonical=True,
        )


class _Tower(nn.Module):
    """h and g of one modality: locals and their pooled vector."""

    def __init__(self, width_in: int, width_pooled: int, config: VSEFusionConfig, hidden: int) -> None:
        super().__init__()
        self.standardise = Standardise(width_in)
        self.project = nn.Linear(width_in, config.width)
        self.residual = two_layers(width_in, hidden, config.width) if hidden else nn.Sequential()
        self.summarise = nn.Sequential()
        if config.summary:
            self.standardise_pooled = Standardise(width_pooled)
            self.summarise = two_layers(width_pooled, config.summary, config.width)
        self.gpo = GPO(even=True, quick=True)
        self.dropout = config.dropout

    def forward(
        self, tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], pooled: Float[Tensor, "B P"]
    ) -> tuple[Float[Tensor, "B L E"], Float[Tensor, "B E"]]:
        kept = channels_kept(tokens, self.dropout) if self.training else None
        if self.training:
            local = on_real(ready_of(self.standardise, kept), self._each, tokens, mask)
        else:
            local = self._each(self.standardise(tokens))
        found = self.gpo(local, mask)
        if len(self.summarise):
            found = found + self.summarise(kept_of(self.standardise_pooled(pooled), kept, self.dropout))
        return local, F.normalize(found, dim=-1)

    def _each(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N E"]:
        local: Tensor = self.project(x)
        return local + self.residual(x) if len(self.residual) else local


class _WordTower(nn.Module):
    """h and g of texts whose words are learned along."""

    def __init__(self, config: VSEFusionConfig) -> None:
        super().__init__()
        self.words = WordGRU(config.vocabulary, EMBEDDING, config.width)
        self.gpo = GPO(even=True, quick=True)

    def forward(
        self, tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], pooled: Float[Tensor, "B P"]
    ) -> tuple[Float[Tensor, "B L E"], Float[Tensor, "B E"]]:
        local: Tensor = self.words(tokens, mask)[0]
        return local, F.normalize(self.gpo(local, mask), dim=-1)


class VSEFusion(Method):
    """One model, two uses; abilities: embeds, scores, aligns."""

    Config = VSEFusionConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    queue_item: Tensor
    queue_filled: Tensor
    queue_room: Tensor

    def __init__(self, config: VSEFusionConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: VSEFusionConfig = config
        self.towers = nn.ModuleDict({"image": _Tower(*dims["image"], config, config.hidden)})
        self.towers["text"] = _WordTower(config) if config.vocabulary else _Tower(*dims["text"], config, 0)
        uses = [use for use in ("itc", "ims", "lmi") if getattr(config, f"{use}_weight")]
        self.heads = nn.ModuleDict(
            {f"{use}_{view}": nn.Linear(config.width, config.projection) for use in uses for view in self.reads}
        )
        if uses or config.loss == "infonce":
            self.log_scale = learned_scale()
        self.old = nn.ModuleDict()
        if config.itc_weight or config.ims_weight:
            kept = {f"tower_{view}": self.towers[view] for view in self.reads}
            kept |= {name: head for name, head in self.heads.items() if not name.startswith("lmi")}
            self.old = nn.ModuleDict({name: copy.deepcopy(module) for name, module in kept.items()})
            self.old.requires_grad_(False)
        for use in ("itc", "ims"):
            for view in self.reads if use in uses else ():
                self.register_buffer(f"queue_{use}_{view}", torch.zeros(config.queue, config.projection))
        self.register_buffer("queue_item", torch.full((config.queue,), -1))
        self.register_buffer(
            "queue_filled", torch.zeros((), dtype=torch.long)
        )  # ever written: its place is the remainder
        self.register_buffer("queue_room", torch.tensor(config.queue))
        self._keys: dict[str, Tensor] = {}
        if config.itm_weight:
            self.first = nn.Parameter(torch.randn(config.width) * 0.02)
            self.kinds = nn.Parameter(torch.randn(2, config.width) * 0.02)
            self.fusion = Encoder(
                config.width,
                config.fusion_layers,
                config.fusion_heads,
                2 * config.width,
                config.dropout,
                norm_first=True,
            )
            self.match = nn.Linear(config.width, 2)
            if config.match_cosine:
                nn.init.zeros_(self.match.weight)
                nn.init.zeros_(self.match.bias)
                self.match_scale = learned_scale()

    def prepare(self, views: Mapping[str, Encoded], pooled: Mapping[str, Tensor], captions: Sequence[str]) -> None:
        """Learn mean and spread of the tokens, start the momentum copies, and keep the queue shorter than the data."""
        for view, tower in self.towers.items():
            if isinstance(tower, _WordTower):
                tower.words.vocabulary.learn(captions)
            else:
                tower.standardise.learn(views[view].tokens[views[view].mask])  # type: ignore[operator, union-attr]
                if self.config.summary:
                    tower.standardise_pooled.learn(pooled[view])  # type: ignore[operator, union-attr]
        if self.config.canonical and not self.config.vocabulary and pooled_fit(self.dims):
            self._start_from_pooled(pooled)
        for name, module in self.old.items():
            module.load_state_dict(self._young(name).state_dict())
        self.queue_room.fill_(max(1, min(self.config.queue, len(captions) // 4)))

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the pooled vector, of unit length."""
        (view,) = views
        view = coarser(view, self.config.grid)
        found: Tensor = self.towers[view.modality](view.tokens, view.mask, view.pooled)[1]
        return found

    def score(self, queries: Views, items: Views) -> Float[Tensor, "Nq Ni"]:
        """Give the probability of a match by the fusion encoder, and a share of the cosine."""
        (query,), (item,) = queries, items
        if query.modality == "image":
            return self.score(items, queries).T
        return self.meet(self.side(query), self.side(item))

    def side(self, view: Encoded) -> tuple[Tensor, Tensor, Tensor]:
        """Give the locals, their mask and the pooled vector; without a fusion encoder that reads locals, none of these."""
        view = coarser(view, self.config.grid)
        local, pooled = self.towers[view.modality](view.tokens, view.mask, view.pooled)
        seen = slice(None) if self.config.itm_weight and self.config.fusion_input == "tokens" else slice(0)
        return local[:, seen], view.mask[:, seen], pooled

    def meet(self, text: tuple[Tensor, Tensor, Tensor], image: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, "Nt Ni"]:
        """Give the score of every text with every picture."""
        cosines: Tensor = text[2] @ image[2].T
        if not self.config.itm_weight:
            return cosines
        at_text, at_image = (
            part.reshape(-1) for part in torch.meshgrid(*(torch.arange(n) for n in cosines.shape), indexing="ij")
        )
        found = []
        for at in range(0, len(at_text), _PAIRS):
            t, v = at_text[at : at + _PAIRS], at_image[at : at + _PAIRS]
            first, second = (
                (local[rows], mask[rows], pooled[rows]) for (local, mask, pooled), rows in ((image, v), (text, t))
            )
            logits = self._fused(first, second)
            found.append(logits.softmax(1)[:, 1])
        matched = torch.cat(found).reshape(cosines.shape) if found else cosines
        return matched + self.config.cosine_share * cosines

    def align(self, a: Encoded, b: Encoded) -> Float[Tensor, "B La Lb"]:
        """Give the softmax over the locals of `b` of their cosine with each local of `a`, pair by pair."""
        fewer = [spread(view, self.config.grid) for view in (a, b)]
        a, b = coarser(a, self.config.grid), coarser(b, self.config.grid)
        first, second = (
            F.normalize(self.towers[view.modality](view.tokens, view.mask, view.pooled)[0], dim=-1) for view in (a, b)
        )
        scores = (first @ second.transpose(1, 2) * 10.0).masked_fill(~b.mask[:, None], NEVER)
        weights: Tensor = scores.softmax(2) * b.mask[:, None] * a.mask[:, :, None]
        return on_all_cells(weights, *fewer)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give hinge, itc, ims, lmi and itm, as far as they have a weight."""
        config, positives = self.config, batch.positives()
        views = {view: coarser(batch[view], self.config.grid) for view in self.reads}
        whole = views
        if self.training and config.drop:
            views = {name: replace(view, mask=drop_tokens(view.mask, config.drop)) for name, view in views.items()}
        local, pooled = {}, {}
        for name, view in views.items():
            local[name], pooled[name] = self.towers[name](view.tokens, view.mask, view.pooled)
        similarity = pooled["image"] @ pooled["text"].T
        if config.loss == "infonce":
            found = info_nce(similarity, positives, inverse_temperature(self.log_scale))
        else:
            margin = config.margin if batch.correspondence is None else soft_margin(config.margin, batch.correspondence)
            found = hinge(similarity, positives, margin, moment.progress >= config.mean_negatives)
        terms: dict[str, Tensor] = {config.loss: config.hinge_weight * found}
        keys = self._momentum_keys(whole)
        if config.itc_weight:
            soft = config.soft_targets * ramp(moment.progress, 0.1)
            terms["itc"] = config.itc_weight * self._across(pooled, keys, batch, soft)
        if config.ims_weight:
            terms["ims"] = config.ims_weight * self._within(pooled, keys, batch)
        if config.lmi_weight:
            terms["lmi"] = config.lmi_weight * self._locals(pooled, local, views, positives)
        if config.itm_weight:
            terms["itm"] = config.itm_weight * self._matching(pooled, local, views, similarity, positives)
        self._keys = {**{name: key.detach().float() for name, key in keys.items()}, "item": batch.item} if keys else {}
        return terms

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the momentum copies towards the weights, and put the last keys into the queues."""
        for name, module in self.old.items():
            for weight, moved in zip(module.parameters(), self._young(name).parameters(), strict=True):
                weight.lerp_(moved, 1 - self.config.momentum)
            for kept, fresh in zip(module.buffers(), self._young(name).buffers(), strict=True):
                kept.copy_(fresh)
        if not self._keys:
            return
        room, item = int(self.queue_room), self._keys.pop("item")
        item = item[-room:]
        places = (int(self.queue_filled) + torch.arange(len(item), device=item.device)) % room
        self.queue_item[places] = item
        for name, key in self._keys.items():
            getattr(self, f"queue_{name}")[places] = key[-room:]
        self.queue_filled += len(item)
        self._keys = {}

    # ---- the terms

    @torch.no_grad()
    def _start_from_pooled(self, pooled: Mapping[str, Tensor]) -> None:
        """Start the projections where pooled pairs agree; heads that compare both sides then begin as one rotation."""
        image, text = self.towers["image"], self.towers["text"]
        beside = [tower.residual for tower in (image, text)] + [tower.summarise for tower in (image, text)]
        layers = [(tower.project, tower.standardise) for tower in (image, text)]
        start_from_pooled(layers, [pooled[view] for view in self.reads], beside)  # type: ignore[arg-type]
        for name, head in self.heads.items():
            nn.init.orthogonal_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]
            if name.endswith("_text"):
                head.load_state_dict(self.heads[name.replace("_text", "_image")].state_dict())

    def _young(self, name: str) -> nn.Module:
        return self.towers[name.removeprefix("tower_")] if name.startswith("tower_") else self.heads[name]

    @torch.no_grad()
    def _momentum_keys(self, views: Mapping[str, Encoded]) -> dict[str, Float[Tensor, "B P"]]:
        """Give the projected momentum embeddings, without dropout so that keys are the same whenever they are made."""
        if not len(self.old):
            return {}
        self.old.eval()
        keys = {}
        for view in self.reads:
            pooled = self.old[f"tower_{view}"](views[view].tokens, views[view].mask, views[view].pooled)[1]
            for use in ("itc", "ims"):
                if f"{use}_{view}" in self.old:
                    keys[f"{use}_{view}"] = F.normalize(self.old[f"{use}_{view}"](pooled), dim=-1)
        return keys

    def _against(self, name: str, query: Tensor, key: Tensor, batch: Batch) -> Float[Tensor, "B M"]:
        """Give logits of each query against the keys of the batch and of the queue; other views of its item never count."""
        queue: Tensor = getattr(self, f"queue_{name}")
        keys, items = torch.cat([key, queue]), torch.cat([batch.item, self.queue_item])
        same = (items[None, :] == batch.item[:, None]) | (items < 0)[None, :]
        same[:, : len(key)] &= ~torch.eye(len(key), dtype=torch.bool, device=key.device)
        return (query @ keys.T * inverse_temperature(self.log_scale)).masked_fill(same, NEVER)

    def _across(self, pooled: Mapping[str, Tensor], keys: Mapping[str, Tensor], batch: Batch, soft: float) -> Tensor:
        total = torch.zeros(len(batch), device=batch.item.device)
        for view, other in (("image", "text"), ("text", "image")):
            query = F.normalize(self.heads[f"itc_{view}"](pooled[view]), dim=-1)
            logits = self._against(f"itc_{other}", query, keys[f"itc_{other}"], batch)
            with torch.no_grad():
                believed = self._against(f"itc_{other}", keys[f"itc_{view}"], keys[f"itc_{other}"], batch).softmax(1)
                own = F.one_hot(torch.arange(len(batch), device=logits.device), logits.shape[1]).to(believed)
                target = soft * believed + (1 - soft) * own
            total = total - (target * logits.log_softmax(1)).sum(1)
        return total / 2

    def _within(self, pooled: Mapping[str, Tensor], keys: Mapping[str, Tensor], batch: Batch) -> Tensor:
        total = torch.zeros(len(batch), device=batch.item.device)
        for view in self.reads:
            query = F.normalize(self.heads[f"ims_{view}"](pooled[view]), dim=-1)
            logits = self._against(f"ims_{view}", query, keys[f"ims_{view}"], batch)
            total = total - logits.log_softmax(1).diagonal()
        return total / 2

    def _locals(
        self,
        pooled: Mapping[str, Tensor],
        local: Mapping[str, Tensor],
        views: Mapping[str, Encoded],
        positives: Bool[Tensor, "B B"],
    ) -> Tensor:
        total = torch.zeros(len(positives), device=positives.device)
        for view in self.reads:
            whole = F.normalize(self.heads[f"lmi_{view}"](pooled[view]), dim=-1)
            head, mask = self.heads[f"lmi_{view}"], views[view].mask
            parts = F.normalize(on_real(lambda flat, _: flat, head, local[view], mask), dim=-1)
            total = total + global_to_local(whole, parts, mask, positives, inverse_temperature(self.log_scale))
        return total / 2

    def _matching(
        self,
        pooled: Mapping[str, Tensor],
        local: Mapping[str, Tensor],
        views: Mapping[str, Encoded],
        similarity: Float[Tensor, "B B"],
        positives: Bool[Tensor, "B B"],
    ) -> Tensor:
        rows = torch.arange(len(similarity), device=similarity.device)
        if bool(positives.all()):  # one item fills the batch: there is no wrong pair to mine
            return torch.zeros(len(rows), device=rows.device) * similarity.diagonal()
        with torch.no_grad():
            wrong_text, wrong_image = (mined(scores, positives) for scores in (similarity, similarity.T))
        image, text = torch.cat([rows, rows, wrong_image]), torch.cat([rows, wrong_text, rows])
        logits = self._fused(
            (local["image"][image], views["image"].mask[image], pooled["image"][image]),
            (local["text"][text], views["text"].mask[text], pooled["text"][text]),
        )
        truth = torch.cat([torch.ones_like(rows), torch.zeros_like(rows), torch.zeros_like(rows)])
        return F.cross_entropy(logits, truth, reduction="none").reshape(3, -1).mean(0)

    def _fused(self, image: tuple[Tensor, Tensor, Tensor], text: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, "B 2"]:
        """Give the logits of no match and match."""
        count = len(image[2])
        scale = self.config.width**0.5  # unit vectors have tiny entries beside the learned ones
        parts: list[Tensor] = [self.first.expand(count, 1, -1)]
        masks = [torch.ones(count, 3, dtype=torch.bool, device=image[2].device)]
        parts += [
            scale * pooled[:, None] + kind for (_, _, pooled), kind in zip((image, text), self.kinds, strict=True)
        ]
        if self.config.fusion_input == "tokens":
            for (local, mask, _), kind in zip((image, text), self.kinds, strict=True):
                parts.append(scale * F.normalize(local, dim=-1) + kind)
                masks.append(mask)
        fused: Tensor = self.match(self.fusion(torch.cat(parts, 1), torch.cat(masks, 1), 1)[:, 0])
        if self.config.match_cosine:
            cosine = (image[2] * text[2]).sum(1) * inverse_temperature(self.match_scale)
            fused = fused + torch.stack([torch.zeros_like(cosine), cosine], 1)
        return fused


def mined(similarity: Float[Tensor, "B B"], positives: Bool[Tensor, "B B"]) -> Tensor:
    """Draw for each row a wrong column, a more similar one more often; a row without any takes the next column."""
    weight = (similarity.float() / 0.07).masked_fill(positives, -math.inf).softmax(1)  # bf16 cannot be drawn from
    none = positives.all(1)
    weight[none] = torch.roll(torch.eye(len(weight), device=weight.device), 1, 1)[none]
    return torch.multinomial(weight, 1).squeeze(1)
