"""Outside: a model that made rows elsewhere and is known here by its name and widths at most."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from crossbit.errors import AbilityError, CollectionError

PREFIX = "outside:"


class Outside:
    """Stands for a model that cannot be loaded: its collections are searched by embedding.

    Args:
        name: what it is called.
        dim: numbers of an embedding, 0 for none.
        bits: of a code, 0 for none.
        fingerprint: of the model, where it is known; else one made of name and widths.
        reference: what loads the model, where it is known.
    """

    views: tuple[str, ...] = ()
    abilities: frozenset[str] = frozenset({"embeds"})

    def __init__(self, name: str, dim: int, bits: int, fingerprint: str = "", reference: str = "") -> None:
        self.name, self.dim, self.bits = name, dim, bits
        self.reference = reference or f"{PREFIX}{dim}:{bits}:{name}"
        digest = hashlib.sha256(self.reference.encode()).hexdigest()[:16]
        self.fingerprint = fingerprint or digest

    def encode(self, view: str, media: Sequence[Any], **_: Any) -> Any:
        """Refuse: nobody knows how.

        Raises:
            AbilityError: always.
        """
        raise AbilityError(
            f"model `{self.name}` made its rows elsewhere and is not known here, so it cannot encode {view}s",
            "search with an embedding that it made, or import again and name the model: `--model NAME`",
        )


def outside_of(reference: str) -> Outside:
    """Make the stand-in again from what a collection says of it.

    Raises:
        CollectionError: that is no such text.
    """
    match = re.fullmatch(rf"{PREFIX}(\d+):(\d+):(.*)", reference, re.S)
    if match is None:
        raise CollectionError(f"model {reference!r}, expected `{PREFIX}DIM:BITS:NAME`")
    return Outside(match[3], int(match[1]), int(match[2]))
