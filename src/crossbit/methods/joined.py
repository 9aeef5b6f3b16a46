"""Joined peers: copies of one method that were trained side by side, used as one method.

Their embeddings stand side by side, divided by the root of their number: the dot product of two such rows is exactly the mean
of the peers' cosines, and the rows can be indexed. Joint scores and alignments are averaged. Codes cannot be averaged: the
first peer's are kept, and a result made with them says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossbit.batch import Encoded, Views
from crossbit.errors import ConfigError
from crossbit.methods.base import Method, Sides, abilities

_PEER = re.compile(r"peers\.(\d+)\.")


class Peers(Method):
    """Base of joined peers; which abilities they have is decided by `joined`, so that it can be asked of the class."""

    def __init__(self, methods: Sequence[Method]) -> None:
        super().__init__(methods[0].config, methods[0].dims)
        self.peers = nn.ModuleList(methods)


def joined(methods: Sequence[Method]) -> Method:
    """Give one method for several peers, with those of their abilities that serve use; a single one stays as it is.

    Raises:
        ConfigError: there is none, or they are of different classes.
    """
    kinds = {type(method) for method in methods}
    if len(kinds) != 1:
        found = sorted(kind.__name__ for kind in kinds)
        raise ConfigError(f"peers: found methods of {found or 'no class'}, expected some of one class")
    if len(methods) == 1:
        return methods[0]
    (kind,) = kinds
    can = abilities(kind)
    members: dict[str, Any] = {name: getattr(kind, name) for name in ("reads", "may_read", "stages", "reads_tokens")}
    members |= {function.__name__.strip("_"): function for ability, function in _USES.items() if ability in can}
    if issubclass(kind, Sides):
        members |= {"side": _side, "meet": _meet}
    made: type[Peers] = type(f"{kind.__name__}Peers", (Peers,), {**members, "Config": kind.Config})
    return made(methods)


def peers_in(names: Iterable[str]) -> int:
    """Count the peers that weights of these names belong to; those of a single method are 1."""
    found = {match[1] for name in names if (match := _PEER.match(name))}
    return max(1, len(found))


def _embed(self: Peers, *views: Encoded) -> Float[Tensor, "B E"]:
    """Give the unit embeddings of all peers side by side, a unit vector again."""
    return torch.cat([peer.embed(*views) for peer in self.peers], dim=1) / math.sqrt(len(self.peers))  # type: ignore[operator]


def _relax(self: Peers, *views: Encoded) -> Float[Tensor, "B K"]:
    """Give the relaxed code of the first peer."""
    relaxed: Tensor = self.peers[0].relax(*views)  # type: ignore[operator]
    return relaxed


def _score(self: Peers, queries: Views, items: Views) -> Float[Tensor, "Nq Ni"]:
    """Give the mean of the peers' scores."""
    return torch.stack([peer.score(queries, items) for peer in self.peers]).mean(0)  # type: ignore[operator]


def _side(self: Peers, view: Encoded) -> tuple[Any, ...]:
    """Give what each peer makes of some items."""
    return tuple(peer.side(view) for peer in self.peers)  # type: ignore[operator]


def _meet(self: Peers, text: tuple[Any, ...], image: tuple[Any, ...]) -> Float[Tensor, "Nt Ni"]:
    """Give the mean of the peers' scores, from what they made of both sides."""
    found = [peer.meet(*pair) for peer, *pair in zip(self.peers, text, image, strict=True)]  # type: ignore[operator]
    return torch.stack(found).mean(0)


def _align(self: Peers, a: Encoded, b: Encoded) -> Float[Tensor, "B La Lb"]:
    """Give the mean of the peers' alignments."""
    return torch.stack([peer.align(a, b) for peer in self.peers]).mean(0)  # type: ignore[operator]


_USES = {"embeds": _embed, "hashes": _relax, "scores": _score, "aligns": _align}
