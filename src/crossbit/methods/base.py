"""Method and the abilities: what a method can do is its type.

The base class knows training; the protocols know use. A protocol holds methods only, never data, and the question is asked
of the class, because an instance may own a *layer* called `embed` (docs/decisions/0002-abilities.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from crossbit.batch import Batch, Encoded, Moment, Views
from crossbit.errors import AbilityError

if TYPE_CHECKING:
    from crossbit.data.loader import FeatureRows


class Method(nn.Module):
    """Base of every method: its settings, the views that it reads and the stages that it trains in.

    A subclass sets `Config` (a frozen dataclass with the paper's defaults and a `small()`), takes `config` and the
    input widths, and adds the abilities that it has.
    """

    Config: ClassVar[type]
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    may_read: ClassVar[tuple[str, ...]] = ()
    stages: ClassVar[tuple[str, ...]] = ("train",)
    prefers: ClassVar[Mapping[str, str]] = {}
    """View to the encoder that it is trained on where none is named and the packaged default would not do."""
    reads_tokens: ClassVar[bool | tuple[str, ...]] = True
    """False where the pooled vectors are all that is read, or the modalities whose tokens are read: views of the others then
    come without tokens (L = 0), which loads faster."""

    def __init__(self, config: Any, dims: Mapping[str, tuple[int, int]]) -> None:
        """Take the settings and, for each view that it reads, the widths (D of tokens, P of pooled)."""
        super().__init__()
        self.config = config
        self.dims = dict(dims)

    def after_step(self) -> None:
        """Move what the optimiser does not: momentum copies, queues. Nothing by default."""

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Give parameter groups for the optimiser: one by default, weight decay only on matrices."""
        decayed = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        return [{"params": decayed, "lr": learning_rate}, {"params": plain, "lr": learning_rate, "weight_decay": 0.0}]


@runtime_checkable
class Learns(Protocol):
    """Can be trained by gradient descent on batches of pairs."""

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Give the loss terms by name, already weighted; each (B,) per pair, or () where pairs cannot be told apart."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """Gives unit vectors, item by item: can be indexed."""

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the unit embedding of each item."""
        ...


@runtime_checkable
class Hashes(Protocol):
    """Gives relaxed codes, item by item: can be indexed in bits."""

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give values in [-1, 1] whose signs are the code; zero counts as +1."""
        ...


@runtime_checkable
class Scores(Protocol):
    """Scores pairs jointly: re-ranks, cannot be indexed."""

    def score(self, queries: Views, items: Views) -> Float[Tensor, "Nq Ni"]:
        """Give the score of every query with every item, higher is better."""
        ...


@runtime_checkable
class Sides(Protocol):
    """Scores pairs jointly from what it makes of each side alone, which many pairs can share; no ability, a way to be quick."""

    def side(self, view: Encoded) -> Any:
        """Give what the score needs of some items: tensors in a tuple or a dataclass."""
        ...

    def meet(self, text: Any, image: Any) -> Float[Tensor, "Nt Ni"]:
        """Give the score of every text with every picture, from their sides."""
        ...


@runtime_checkable
class Aligns(Protocol):
    """Says which word looks at which region, frame or window."""

    def align(self, a: Encoded, b: Encoded) -> Float[Tensor, "B La Lb"]:
        """Give for each pair the weight of every token of `b` for every token of `a`; zero where masked."""
        ...


@runtime_checkable
class Fits(Protocol):
    """Is fitted in closed form on all training rows at once."""

    def fit(self, views: Mapping[str, Float[np.ndarray, "N D"]], labels: Float[np.ndarray, "N C"] | None) -> Fits:
        """Fit on pooled rows, one of each view an item."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """Looks at training features once, before the first step: means, vocabularies, class counts, kept as buffers."""

    def prepare(
        self, views: Mapping[str, Encoded], pooled: Mapping[str, Float[Tensor, "M P"]], captions: Sequence[str]
    ) -> None:
        """Look at the training data.

        Args:
            views: a sample of each view with its tokens, up to some thousand rows.
            pooled: the pooled rows of up to some ten thousand pairs, row by row in agreement.
            captions: all training captions.
        """
        ...


ABILITIES: dict[str, type] = {
    "learns": Learns,
    "embeds": Embeds,
    "hashes": Hashes,
    "scores": Scores,
    "aligns": Aligns,
    "fits": Fits,
    "prepares": Prepares,
}


def abilities(cls: type) -> frozenset[str]:
    """Name what the class can do, such as {"learns", "embeds"}."""
    return frozenset(name for name, protocol in ABILITIES.items() if issubclass(cls, protocol))


def similarity(method: Method, queries: Views, items: Views) -> Float[Tensor, "Nq Ni"]:
    """Give the method's own similarity: joint score, dot of embeddings, or dot of relaxed codes over K.

    Raises:
        AbilityError: the method does none of the three.
    """
    if isinstance(method, Embeds) and issubclass(type(method), Embeds):
        return method.embed(*queries) @ method.embed(*items).T
    if isinstance(method, Scores) and issubclass(type(method), Scores):
        return method.score(queries, items)
    if isinstance(method, Hashes) and issubclass(type(method), Hashes):
        a, b = method.relax(*queries), method.relax(*items)
        return a @ b.T / a.shape[1]
    raise AbilityError(f"`{type(method).__name__}` neither embeds, hashes nor scores, so two items cannot be compared")


@torch.no_grad()
def joint_scores(method: Any, images: FeatureRows, texts: FeatureRows) -> Float32[np.ndarray, "N M"]:
    """Give the method's joint score of every picture with every text, block by block.

    Texts of about one length are scored together, so that little of a block is padding. What a method makes of a side alone is
    made once, as far as it fits in a fixed room. Memory beside the scores stays the same, however many there are of either.

    Args:
        method: scores pairs; in eval mode.
        images: features of N pictures.
        texts: features of M texts.
    """
    from crossbit.data.loader import encoded

    method.eval()
    sides = method if _has_sides(type(method)) else _Whole(method)
    scores = np.empty((len(images), len(texts)), np.float32)
    places = np.arange(len(texts))
    counts = [encoded(texts, places[at : at + _TEXTS]).mask.sum(1).numpy() for at in range(0, len(texts), _TEXTS)]
    order = np.argsort(np.concatenate([np.empty(0, np.int64), *counts]), kind="stable")
    size = max(1, min(_TEXTS, -(-len(order) // 4)))
    kept: dict[int, Any] = {}
    room = _KEPT
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        asked = sides.side(encoded(texts, rows))
        for top in range(0, len(images), _IMAGES):
            some = np.arange(top, min(top + _IMAGES, len(images)))
            seen = kept[top] if top in kept else sides.side(encoded(images, some))
            if top not in kept and start + size < len(order) and bytes_of(seen) <= room:
                kept[top] = seen
                room -= bytes_of(seen)
            scores[np.ix_(some, rows)] = sides.meet(asked, seen).T.float().numpy()
    return scores


def _has_sides(kind: type) -> bool:
    """Say whether a class scores by its sides; not one that has a `score` of its own over the sides of its base."""
    owners = [next((base for base in kind.__mro__ if name in vars(base)), None) for name in ("score", "side", "meet")]
    return issubclass(kind, Sides) and owners[0] in owners[1:]


class _Whole:
    """A method whose score cannot be taken apart: a side is the features themselves."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def side(self, view: Encoded) -> Any:
        return view

    def meet(self, text: Any, image: Any) -> Tensor:
        found: Tensor = self.method.score((text,), (image,))
        return found


def bytes_of(side: Any) -> int:
    """Count the bytes of the tensors in a tensor, a tuple or a dataclass."""
    if isinstance(side, Tensor):
        return side.nbytes
    parts = side if isinstance(side, tuple) else vars(side).values() if is_dataclass(side) else ()
    return sum(bytes_of(part) for part in parts)


_IMAGES, _TEXTS = 256, 1024
"""Pictures and texts that are scored with each other at a time; methods cut their pairs further."""

_KEPT = 128 << 20
"""Bytes of sides of pictures that are kept from one group of texts to the next; what is beyond is made again."""


def sign(relaxed: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """Give the hard code, ±1; a zero becomes +1, so that there is no third symbol."""
    return torch.where(relaxed >= 0, 1.0, -1.0)
