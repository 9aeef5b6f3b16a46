"""The encoder `regions:WIDTH`: features that somebody else computed, such as detector regions in a folder of SCAN.

    array (L, WIDTH) or (WIDTH,) -> tokens (N, L, WIDTH), pooled (N, WIDTH), their mean

Nothing is learned and nothing is loaded. A model on it reads arrays where others read pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crossbit.encoders.base import EncoderCard, Inputs, Media
from crossbit.encoders.ragged import mean_of_real, padded
from crossbit.errors import ConfigError, UsageError
from crossbit.features import Features

if TYPE_CHECKING:
    from torch import nn

FAMILY = "regions"


class Regions:
    """Hand features on as they are.

    Raises:
        ConfigError: the width is not a number above zero.
    """

    reads_arrays = True
    """Its media are arrays of features: they need no decoding and no cache."""

    def __init__(self, family: str, width: str) -> None:
        if not width.isdecimal() or not int(width):
            raise ConfigError(f"encoder: found {family}:{width}, expected a width such as {FAMILY}:2048")
        self.width = int(width)

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        return EncoderCard(f"{FAMILY}:{self.width}", "image", self.width, self.width, f"{FAMILY}-{self.width}-1")

    def prepare(self, media: Sequence[Media]) -> Inputs:
        """Stack arrays, padded to the longest: `regions` (N, L, D) and `mask` (N, L).

        Raises:
            UsageError: something is not an array of numbers of this width.
        """
        rows = []
        for place, one in enumerate(media):
            array = np.asarray(one) if isinstance(one, np.ndarray) else None
            if (
                array is None
                or array.ndim not in (1, 2)
                or array.shape[-1] != self.width
                or array.dtype.kind not in "fiu"
            ):
                found = type(one).__name__ if array is None else f"array of {array.dtype} with shape {array.shape}"
                raise UsageError(
                    f"regions {place}: found {found}, expected an array (regions, {self.width})",
                    "a model on precomputed regions reads arrays, not pictures",
                )
            rows.append(np.atleast_2d(array).astype(np.float32))
        regions, mask = padded(rows, self.width)
        return {"regions": regions, "mask": mask}

    def encode(self, inputs: Inputs) -> Features:
        """Give the regions as tokens."""
        regions, mask = inputs["regions"], inputs["mask"]
        return Features("image", regions, mask, mean_of_real(regions, mask))

    def module(self) -> nn.Module:
        """Give the torch twin.

        Raises:
            UsageError: always: there is nothing to train.
        """
        raise UsageError(f"encoder `{FAMILY}:{self.width}` has no weights, so it has no torch twin", "train the method")
