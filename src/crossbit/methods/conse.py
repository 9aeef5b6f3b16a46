"""ConSE: a classifier's opinion, read as words. Search by words with nothing trained.

Source: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014.

    image pooled (B, P) -> classifier -> softmax (B, 1000) -> the 100 likeliest (B, 100), weights summing to 1
                        -> weighted mean of those classes' name embeddings (B, E) -> unit
    text pooled (B, E)  -> unit -> minus the mean name embedding -> unit

What it can see: the thousand kinds of things of ImageNet (animals, above all dogs; vehicles, tools, food, furniture, clothes,
buildings) and what lies between them in the text encoder's space. What it cannot: colours, counts, places of things, actions,
people, drawn symbols, written words; "a red car" may well find red wine. In other languages it is as good as the text encoder.

From the paper: the convex combination of the T likeliest classes' embeddings (equation 2), T up to 10; cosine to the query.
Our reconstruction: a multilingual sentence encoder instead of word vectors, so any language can ask. A class's embedding is the
mean over all its WordNet synonyms and its definition. Names are centred on the mean over the names of all classes, and so are
queries; definitions, which are another kind of sentence, on theirs: that encoder's raw cosines are crowded between 0.7 and
0.9. T is 100 and the temperature 1.5, chosen on 689 shaded drawings (Fluent) and their English names: text to image
R@1/5/10: T 20 at 1 gives 4.5/9.0/10.9, these 5.7/10.9/13.9, T 1,000 at 2 gives 5.8/11.5/14.2 but loses in the other direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from crossbit.batch import Encoded
from crossbit.data.imagenet import imagenet_classes
from crossbit.encoders.base import Encoder
from crossbit.errors import ConfigError
from crossbit.methods.base import Method

CHUNK = 64
"""Names encoded at a time."""


@dataclass(frozen=True)
class ConSEConfig:
    """Settings of ConSE.

    Args:
        top: how many of the likeliest classes are averaged (T of the paper).
        temperature: divides the classifier's logits; below 1 trusts the first class more.
        synonyms: a class is embedded by "all" its names, or by its "first".
        definitions: and by its definition.
        classes: how many classes the classifier has.
    """

    top: int = 100
    temperature: float = 1.5
    synonyms: Literal["all", "first"] = "all"
    definitions: bool = True
    classes: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.top <= self.classes:
            raise ConfigError(f"conse: top is {self.top}, expected 1 to {self.classes}, the number of classes")
        if not self.temperature > 0:
            raise ConfigError(f"conse: temperature is {self.temperature}, expected more than 0")
        if self.synonyms not in ("all", "first"):
            raise ConfigError(f"conse: synonyms is {self.synonyms!r}, expected 'all' or 'first'")

    @classmethod
    def small(cls) -> ConSEConfig:
        """Give the settings for two cores: the same, since nothing is trained."""
        return cls()


class ConSE(Method):
    """Place an image between the names of the classes that the classifier takes it for.

    All that it knows lies in buffers: random until `build` or a model folder fills them.
    """

    Config = ConSEConfig

    weight: Tensor
    bias: Tensor
    names: Tensor
    centre: Tensor

    def __init__(self, config: ConSEConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        width = dims["text"][1]
        self.register_buffer("weight", torch.randn(config.classes, dims["image"][1]))
        self.register_buffer("bias", torch.zeros(config.classes))
        self.register_buffer("names", F.normalize(torch.randn(config.classes, width), dim=-1))
        self.register_buffer("centre", torch.zeros(width))

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the unit embedding of images or texts in the text encoder's centred space."""
        (view,) = views
        if view.modality == "image":
            return F.normalize(self.blend(view.pooled), dim=-1)
        return F.normalize(F.normalize(view.pooled, dim=-1) - self.centre, dim=-1)

    def blend(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B E"]:
        """Give the convex combination of the likeliest classes' names, not yet at length 1."""
        logits = pooled @ self.weight.T + self.bias  # (B, classes)
        likely, which = (logits / self.config.temperature).softmax(dim=-1).topk(self.config.top, dim=-1)  # (B, top)
        share = likely / likely.sum(dim=-1, keepdim=True)
        blended: Tensor = (share[..., None] * self.names[which]).sum(dim=1)
        return blended


def build(
    text_encoder: Encoder,
    *,
    classifier: tuple[Float[np.ndarray, "C P"], Float[np.ndarray, " C"]] | None = None,
    config: ConSEConfig | None = None,
) -> ConSE:
    """Make a ready ConSE: embed the names of the ImageNet classes with a text encoder.

    Args:
        text_encoder: whose languages will be the languages of the queries.
        classifier: weight and bias of the last layer, on the image encoder's pooled features; by default the packaged one.
        config: the paper's settings by default.

    Raises:
        ConfigError: the classifier has not the thousand classes of ImageNet.
    """
    config = config or ConSEConfig()
    if classifier is None:
        from crossbit.encoders import image  # late: a model folder brings its own copy and needs no packaged weights

        classifier = image.classifier()
    weight, bias = classifier
    classes = imagenet_classes()
    if not len(weight) == len(bias) == config.classes == len(classes):
        raise ConfigError(
            f"conse: a classifier of {len(weight)} classes and settings for {config.classes}, expected {len(classes)}"
        )
    spoken = [c.names if config.synonyms == "all" else c.names[:1] for c in classes]
    rows = _unit_rows(text_encoder, [name for names in spoken for name in names])
    centre = rows.mean(axis=0)
    owner = np.repeat(np.arange(len(classes)), [len(names) for names in spoken])
    total, count = np.zeros((len(classes), rows.shape[1]), np.float32), np.bincount(owner)[:, None]
    np.add.at(total, owner, _unit(rows - centre))
    if config.definitions:
        rows = _unit_rows(text_encoder, [f"{c.names[0]}: {c.definition}" for c in classes])
        total, count = total + _unit(rows - rows.mean(axis=0)), count + 1
    card = text_encoder.describe()
    method = ConSE(config, {"image": (weight.shape[1],) * 2, "text": (card.dim, card.pooled_dim)})
    state = {"weight": weight, "bias": bias, "names": total / count, "centre": centre}
    method.load_state_dict({name: torch.from_numpy(np.array(rows, np.float32)) for name, rows in state.items()})
    return method.eval()


def _unit_rows(encoder: Encoder, texts: list[str]) -> Float[np.ndarray, "N E"]:
    """Embed texts at length 1, the shortest first, so that a chunk holds little padding."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    rows = np.zeros((len(texts), encoder.describe().pooled_dim), dtype=np.float32)
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        rows[chunk] = encoder.encode(encoder.prepare([texts[place] for place in chunk])).pooled
    return _unit(rows)


def _unit(rows: Float[np.ndarray, "N E"]) -> Float[np.ndarray, "N E"]:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
