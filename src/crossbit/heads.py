"""Heads: the method's part of encoding, features in, embedding and relaxed code out; in ONNX Runtime, or in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from crossbit.features import Features

if TYPE_CHECKING:
    from crossbit.methods.base import Method


class Head(Protocol):
    """What turns the features of a view into rows."""

    @property
    def reads(self) -> frozenset[str]:
        """Name what it reads of features: "tokens", "mask", "pooled"."""
        ...

    def __call__(self, features: Features) -> tuple[Any, Any]:
        """Give embedding and relaxed code, None for what the method has not."""
        ...


class OnnxHead:
    """The method's part of encoding as an ONNX graph; opened when first used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def session(self) -> Any:
        """Open the graph."""
        from crossbit.encoders.session import open_session

        return open_session(self.path)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Name the graph's inputs."""
        return frozenset(node.name for node in self.session.get_inputs())

    def __call__(self, features: Features) -> tuple[Any, Any]:
        """Give embedding and relaxed code, None for what the method has not."""
        feeds = {
            "tokens": features.tokens.astype(np.float32, copy=False),
            "mask": features.mask,
            "pooled": features.pooled.astype(np.float32, copy=False),
        }
        outputs = [node.name for node in self.session.get_outputs()]
        found = self.session.run(None, {name: value for name, value in feeds.items() if name in self.reads})
        values = dict(zip(outputs, found, strict=True))
        return values.get("embedding"), values.get("relaxed")


class TorchHead:
    """The same in torch, for a model that has not been saved, or whose method cannot be exported."""

    def __init__(self, method: Callable[[], Method]) -> None:
        """Take a function that gives the method, since making it loads torch."""
        self.method = method

    @property
    def reads(self) -> frozenset[str]:
        """Name all that there is, since a method does not say what it leaves unread."""
        return frozenset({"tokens", "mask", "pooled"})

    def __call__(self, features: Features) -> tuple[Any, Any]:
        """Give embedding and relaxed code, None for what the method has not."""
        import torch

        from crossbit.batch import Encoded
        from crossbit.methods.base import Embeds, Hashes

        method, encoded = self.method().eval(), Encoded.from_features(features)
        with torch.no_grad():
            embedding = method.embed(encoded).float().numpy() if issubclass(type(method), Embeds) else None  # type: ignore[operator]
            relaxed = method.relax(encoded).float().numpy() if issubclass(type(method), Hashes) else None  # type: ignore[operator]
        return embedding, relaxed


def widths(method: Method, dims: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Give E and K by asking the method for two rows."""
    import torch

    from crossbit.batch import Encoded
    from crossbit.methods.base import Embeds, Hashes

    width, pooled = dims["image"]
    two = Encoded("image", torch.zeros(2, 1, width), torch.ones(2, 1, dtype=torch.bool), torch.zeros(2, pooled))
    with torch.no_grad():
        dim = method.embed(two).shape[1] if issubclass(type(method), Embeds) else 0  # type: ignore[operator]
        bits = method.relax(two).shape[1] if issubclass(type(method), Hashes) else 0  # type: ignore[operator]
    return dim, bits
