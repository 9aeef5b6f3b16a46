"""`nested`: small heads on frozen encoders, with a classifier's opinion as further input, and codes inside codes.

"Matryoshka Representation Learning", Kusupati and others, NeurIPS 2022; "Zero-Shot Learning by Convex Combination of Semantic
Embeddings" (ConSE), Norouzi and others, ICLR 2014; ITQ, Gong and Lazebnik, CVPR 2011. The model `base` is made of it.

    image pooled (B, P) -> classifier -> the 100 likeliest classes -> mean of their names' embeddings: opinion (B, T)
                        -> [pooled, opinion] -> linear + hidden layer, once per pair of heads -> unit (B, W)
    text  pooled (B, T) -> unit, standardised -> linear + hidden layer, once per pair of heads -> unit (B, W)
    heads and opinion side by side, weighted: joint (B, J) -> fold -> unit (B, W) -> minus the usual picture
                        -> times how sure, and a number for the length that is missing (B, E)
    folded (B, W) -> linear, joint (B, J) -> one hidden layer for both sides -> sum -> tanh (B, K): bits 1..64 are a code,
    bits 1..128 and 1..K as well
    loss: symmetric InfoNCE of every pair of heads, and of every prefix of the code; the latter learn the embedding's
          similarities as well

From the papers: the convex combination of the likeliest classes' embeddings as what an untrained model knows of a photograph
(ConSE, equation 2); losses on nested prefixes of one vector (Matryoshka, equation 1), here of the bits; rotations towards the
corners of the cube as start of the bits (ITQ).
Our reconstruction: the opinion is an input of the trained heads, and also stands beside them untrained (`opinion`), so that
what drawings do not teach is not lost. Several pairs of heads from different seeds are folded into one vector by the principal
directions of the joint one; what all pictures have in common is taken out of them, or words near it would be found for every
picture. Bits read the joint vectors as well as the folded ones. Two numbers of the vector are kept for doubt: a picture of
nothing, or a query that is no words, gives up length to a number that the other side never has, so every cosine with it is
small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from crossbit.batch import Batch, Encoded, Moment
from crossbit.errors import ConfigError
from crossbit.methods.base import Method
from crossbit.nn.losses import imitation, info_nce, inverse_temperature
from crossbit.nn.standardise import Standardise

DOUBT = 2
"""Numbers of the embedding that say how unsure it is: one of pictures, one of texts."""
SHARP = 25.0
"""Multiplies the embedding's cosines where the bits learn from them: the order of near ones counts."""
LOUD = 10.0
"""Brings unit vectors to the size that a hidden layer likes to read."""
LIFT = 20.0
"""Opinions are short, being means of many names; this brings them to the size of the other inputs."""


@dataclass(frozen=True)
class NestedConfig:
    """Settings of nested heads.

    Args:
        width: E of the embedding, the two numbers of doubt included.
        bits: K of the whole code.
        shortest: bits of the innermost code; each next one is twice as long.
        hidden: width of the hidden layers of the heads.
        code_hidden: width of the hidden layer under the bits.
        pairs: how many pairs of heads, from different starts.
        opinion: share of the untrained opinion in the embedding, 0 to 1.
        top: how many of the likeliest classes are averaged.
        temperature: divides the classifier's logits.
        classes: how many classes the classifier has.
        dropout: on the inputs of the heads.
        noise: spread of the noise on the bits before their relaxation, in training.
        known: weight of the pairs that are known beside the embedding's similarities, where the bits learn.
    """

    width: int = 256
    bits: int = 256
    shortest: int = 64
    hidden: int = 384
    code_hidden: int = 256
    pairs: int = 2
    opinion: float = 0.3
    top: int = 100
    temperature: float = 1.5
    classes: int = 1000
    dropout: float = 0.1
    noise: float = 0.6
    known: float = 1.5

    def __post_init__(self) -> None:
        if not 1 <= self.top <= self.classes:
            raise ConfigError(f"nested: top is {self.top}, expected 1 to {self.classes}, the number of classes")
        if not 0 <= self.opinion < 1:
            raise ConfigError(f"nested: opinion is {self.opinion}, expected at least 0 and less than 1")
        if not self.temperature > 0:
            raise ConfigError(f"nested: temperature is {self.temperature}, expected more than 0")
        if self.width <= DOUBT or self.pairs < 1:
            raise ConfigError(f"nested: width {self.width} and {self.pairs} pairs, expected more than {DOUBT} and 1")
        if self.prefixes[-1] != self.bits:
            raise ConfigError(f"nested: bits is {self.bits}, expected {self.shortest} times a power of two")

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Name the lengths of the codes inside the code."""
        doublings = range(max(1, (self.bits // self.shortest).bit_length()))
        return tuple(self.shortest * 2**power for power in doublings)

    @classmethod
    def small(cls) -> NestedConfig:
        """Give the settings for two cores: the same, since only small heads are trained."""
        return cls()


class Head(nn.Module):
    """A linear map and, beside it, a hidden layer whose share is zero at the start."""

    def __init__(self, width: int, out: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.straight = nn.Linear(width, out)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, out)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B W"]:
        """Give unit vectors."""
        x = self.drop(x)
        return F.normalize(self.straight(x) + self.outer(self.drop(F.gelu(self.inner(x)))), dim=-1)


class Nested(Method):
    """Pairs of heads beside a classifier's opinion, folded into one vector; abilities: embeds, hashes."""

    Config = NestedConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    weight: Tensor
    bias: Tensor
    names: Tensor
    centre: Tensor
    fold: Tensor
    usual: Tensor
    doubt_image: Tensor
    doubt_text: Tensor

    def __init__(self, config: NestedConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: NestedConfig = config
        image, text = dims["image"][1], dims["text"][1]
        inner = config.width - DOUBT
        self.register_buffer("weight", torch.randn(config.classes, image) / math.sqrt(image))
        self.register_buffer("bias", torch.zeros(config.classes))
        self.register_buffer("names", F.normalize(torch.randn(config.classes, text), dim=-1))
        self.register_buffer("centre", torch.zeros(text))
        self.standardise = nn.ModuleDict({"image": Standardise(image), "text": Standardise(text)})
        self.image = nn.ModuleList(
            Head(image + text, inner, config.hidden, config.dropout) for _ in range(config.pairs)
        )
        self.text = nn.ModuleList(Head(text, inner, config.hidden, config.dropout) for _ in range(config.pairs))
        for seen, read in zip(self.image, self.text, strict=True):
            _start_at_the_opinion(seen.straight, read.straight, image, text)  # type: ignore[arg-type]
        self.log_scale = nn.Parameter(torch.full((config.pairs,), math.log(20.0)))
        joint = config.pairs * inner + text
        self.register_buffer("fold", _directions(inner, joint))
        self.register_buffer("usual", torch.zeros(inner))
        self.register_buffer("doubt_image", torch.zeros(image + 1))
        self.register_buffer("doubt_text", torch.zeros(text + 1))
        self.project = nn.Linear(inner, config.bits)
        self.apart = nn.Parameter(torch.zeros(config.bits))
        with torch.random.fork_rng(devices=[]):  # what the heads start from depends on nothing that follows them
            self.reader = nn.Linear(joint, config.code_hidden)
        self.writer = nn.Parameter(torch.zeros(config.bits, config.code_hidden))
        self.code_scale = nn.Parameter(torch.tensor(math.log(15.0)))

    # ---- what it gives

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give unit vectors; the last two numbers hold the doubt of pictures and of texts."""
        (view,) = views
        inputs = self.inputs(view)
        seen = view.modality == "image"
        weights = self.doubt_image if seen else self.doubt_text
        doubt = torch.sigmoid(inputs[:, : len(weights) - 1] @ weights[:-1] + weights[-1] - UNSURE)[:, None]
        known = (1 - doubt.square()).clamp(min=0).sqrt() * self.folded(view.modality, self.joint(view.modality, inputs))
        rest = (1 - known.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
        empty = torch.zeros_like(rest)
        return F.normalize(torch.cat([known, rest if seen else empty, empty if seen else rest], 1), dim=-1)

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give values in [-1, 1]: the first 64 are a code of their own, and so are the first 128."""
        (view,) = views
        return self.bits_of(view.modality, self.joint(view.modality, self.inputs(view)))

    # ---- how

    def inputs(self, view: Encoded) -> Float[Tensor, "B I"]:
        """Give what the heads read: a picture's features and opinion, or a text's features."""
        if view.modality == "image":
            seen = self.standardise["image"](view.pooled)
            return torch.cat([seen, LIFT * self.opinion(view.pooled)], 1)
        read: Tensor = self.standardise["text"](F.normalize(view.pooled, dim=-1))
        return read

    def opinion(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B T"]:
        """Give the convex combination of the likeliest classes' names."""
        chances = ((pooled @ self.weight.T + self.bias) / self.config.temperature).softmax(dim=-1)  # (B, classes)
        least = chances.topk(self.config.top, dim=-1).values[:, -1:]
        chances = chances * (chances >= least)
        combined: Tensor = (chances / chances.sum(dim=-1, keepdim=True)) @ self.names
        return combined

    def joint(self, modality: str, inputs: Float[Tensor, "B I"]) -> Float[Tensor, "B J"]:
        """Give all pairs of heads and the opinion side by side, each with its share."""
        heads = self.image if modality == "image" else self.text
        share = math.sqrt((1 - self.config.opinion) / self.config.pairs)
        plain = F.normalize(self.untrained(modality, inputs), dim=-1)
        return torch.cat([*(share * head(inputs) for head in heads), math.sqrt(self.config.opinion) * plain], 1)

    def untrained(self, modality: str, inputs: Float[Tensor, "B I"]) -> Float[Tensor, "B T"]:
        """Give a picture's opinion, or a text in the space of opinions."""
        if modality == "image":
            return inputs[:, -self.names.shape[1] :]
        norm = cast(Standardise, self.standardise["text"])
        return inputs * norm.spread + norm.mean - self.centre

    def folded(self, modality: str, joint: Float[Tensor, "B J"]) -> Float[Tensor, "B W"]:
        """Give unit vectors of texts, and of pictures what is left of them without the usual one.

        It is not made long again: so every score of a query is shifted alike and the order of its answers stays, while for a
        picture words lose what they gain from being near the usual one.
        """
        rows: Tensor = F.normalize(joint @ self.fold.T, dim=-1)
        if modality == "text":
            return rows
        left: Tensor = rows - self.usual
        shorter: Tensor = left / left.norm(dim=-1, keepdim=True).clamp(min=1)
        return shorter

    def bits_of(self, modality: str, joint: Float[Tensor, "B J"]) -> Float[Tensor, "B K"]:
        """Give the relaxed code of joint vectors: a rotation of the folded ones, and what a hidden layer adds to it.

        The layer is the same for both sides, since they meet in one space, and reads what the fold leaves out.
        """
        z = self.project(self.folded(modality, joint)) + F.gelu(self.reader(LOUD * joint)) @ self.writer.T
        if modality == "text":
            z = z + self.apart
        if self.training and self.config.noise:
            z = z + self.config.noise * torch.randn_like(z)
        relaxed: Tensor = torch.tanh(z)
        return relaxed

    # ---- how it learns

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give InfoNCE of every pair of heads, and of every prefix of the code, which does not move the heads."""
        seen, read = self.inputs(batch["image"]), self.inputs(batch["text"])
        positives = batch.positives()
        terms = self.head_losses(seen, read, positives)
        with torch.no_grad():
            joints = self.joint("image", seen), self.joint("text", read)
        return terms | self.code_losses(*joints, positives)

    def head_losses(
        self, seen: Float[Tensor, "B I"], read: Float[Tensor, "B D"], positives: Tensor
    ) -> dict[str, Tensor]:
        """Give InfoNCE of every pair of heads alone: together they would be one pair."""
        terms = {}
        for number, (image, text) in enumerate(zip(self.image, self.text, strict=True)):
            similarity = image(seen) @ text(read).T
            terms[f"pair {number}"] = info_nce(similarity, positives, inverse_temperature(self.log_scale[number]))
        return terms

    def code_losses(
        self, image: Float[Tensor, "B J"], text: Float[Tensor, "M J"], positives: Bool[Tensor, "P P"]
    ) -> dict[str, Tensor]:
        """Give two terms for each length that the code may be cut to: pairs that are known, similarities that are imitated.

        Args:
            image: joint vectors of pictures.
            text: of texts.
            positives: of the first rows of both, which are pairs; how similar those beyond are only the embedding knows.
        """
        seen, read = self.bits_of("image", image), self.bits_of("text", text)
        scale, pairs = inverse_temperature(self.code_scale), len(positives)
        with torch.no_grad():
            taught = SHARP * (self.folded("image", image) @ self.folded("text", text).T)
        terms = {}
        for bits in self.config.prefixes:
            similarity = seen[:, :bits] @ read[:, :bits].T / bits
            terms[f"{bits} bits"] = self.config.known * info_nce(similarity[:pairs, :pairs], positives, scale)
            terms[f"{bits} bits imitate"] = imitation(scale * similarity, taught)
        return terms


UNSURE = 6.0
"""Taken from the logit of doubt, so that weights of zero, as before training, mean no doubt."""


def _start_at_the_opinion(seen: nn.Linear, read: nn.Linear, image: int, text: int) -> None:
    """Let both sides begin with one projection of the text encoder's space, where names and opinions already meet."""
    shared = _directions(len(read.weight), text)
    with torch.no_grad():
        read.weight.copy_(shared)
        seen.weight[:, image:].copy_(shared)
        seen.weight[:, :image].mul_(0.1)
        seen.bias.zero_()
        read.bias.zero_()


def _directions(rows: int, columns: int) -> Float[Tensor, "rows columns"]:
    """Give random directions, orthogonal as far as there are so many."""
    made: Tensor = nn.init.orthogonal_(torch.empty(rows, columns))
    return made
