"""Encoder: media in, Features out. Frozen encoders speak NumPy through ONNX Runtime; `module` gives the torch twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from crossbit.features import Features, Modality

if TYPE_CHECKING:
    from torch import nn

Media = Any
"""An RGB picture as uint8 (H, W, 3), or a string."""

Inputs = Mapping[str, np.ndarray]
"""What `prepare` makes of media: arrays with one row an item."""


@dataclass(frozen=True)
class EncoderCard:
    """Say what an encoder is: widths of tokens and pooled vector, and how much it reads.

    Args:
        max_tokens: longest text in tokens, 0 for media that are no text.
        edge: side in pixels of what a picture is brought to (the `size` hint of `load_image`), 0 for media without.
    """

    name: str
    modality: Modality
    dim: int
    pooled_dim: int
    fingerprint: str
    max_tokens: int = 0
    edge: int = 0


@runtime_checkable
class Encoder(Protocol):
    """Turn media of one modality into features.

    `name` is what a configuration calls it ("e5-small", "clip:FOLDER"); `fingerprint` changes whenever its output could: it
    keys the feature cache and is part of a model's own fingerprint.
    """

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        ...

    def prepare(self, media: Sequence[Media]) -> Inputs:
        """Make arrays from media: resize and normalise, or tokenise. Runs on the CPU, may run in workers."""
        ...

    def encode(self, inputs: Inputs) -> Features:
        """Run the encoder without gradient."""
        ...

    def module(self) -> nn.Module:
        """Give the torch twin: called with `prepare`'s arrays as tensors (keywords), it returns (tokens, mask, pooled)."""
        ...
