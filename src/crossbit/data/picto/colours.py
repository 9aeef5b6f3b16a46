"""Which colour a thing has, said only where it cannot be argued: one of eleven plain colours fills most of it.

Pixels are put into regions of hue, saturation and value that lie well inside what people call by a colour's name; what lies
between the regions (turquoise, salmon, sky blue, beige) has no name here and counts against every colour.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from crossbit.data.picto.grammar import COLOURS

SHARE = 0.6
"""The colour fills at least so much of the thing ..."""
RUNNER_UP = 0.15
"""... and no other colour more than this."""
_PAPER = 253
_SOLID = 0.35

# colour -> ranges (hue in degrees, from a little below zero for red; saturation; value), the upper ends outside
_REGIONS: tuple[tuple[str, tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    ("red", (-12, 10), (0.6, 1.1), (0.5, 1.1)),
    ("orange", (20, 34), (0.7, 1.1), (0.85, 1.1)),
    ("brown", (8, 38), (0.35, 1.1), (0.22, 0.6)),
    ("yellow", (43, 64), (0.5, 1.1), (0.8, 1.1)),
    ("green", (85, 160), (0.35, 1.1), (0.3, 0.95)),
    ("blue", (204, 245), (0.65, 1.1), (0.4, 1.1)),
    ("purple", (262, 295), (0.35, 1.1), (0.5, 1.1)),
    ("pink", (305, 348), (0.2, 0.75), (0.85, 1.1)),
    ("pink", (-12, 8), (0.2, 0.45), (0.9, 1.1)),
    ("black", (-12, 348), (0, 1.1), (0, 0.05)),
    ("black", (-12, 348), (0, 0.25), (0.05, 0.22)),
    ("grey", (-12, 348), (0, 0.2), (0.42, 0.8)),
    ("white", (-12, 348), (0, 0.06), (0.93, 1.1)),
)


def main_colour(picture: UInt8[np.ndarray, "H W 3"]) -> str | None:
    """Name the colour of a thing on white paper, in English; None where no colour is clearly the main one.

    The thing is what is not paper, and the paper that it encloses: a red ring is not red, it is a ring.
    """
    inked = picture.min(axis=2) < _PAPER
    thing = ndimage.binary_fill_holes(inked)
    rows, columns = np.flatnonzero(thing.any(axis=1)), np.flatnonzero(thing.any(axis=0))
    if len(rows) == 0:
        return None
    box = thing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if box.mean() < _SOLID:
        return None  # lines, or a white thing of which only the shades are seen
    shares = {name: (mask & inked).sum() / thing.sum() for name, mask in _masks(picture).items()}
    first, second = sorted(COLOURS, key=lambda name: -shares[name])[:2]
    return first if shares[first] >= SHARE and shares[second] <= RUNNER_UP else None


def _masks(picture: UInt8[np.ndarray, "H W 3"]) -> dict[str, Bool[np.ndarray, "H W"]]:
    hue, saturation, value = _hsv(picture)
    masks = {name: np.zeros(hue.shape, bool) for name in COLOURS}
    for name, hues, saturations, values in _REGIONS:
        masks[name] |= (
            ((hue >= hues[0]) & (hue < hues[1]))
            & ((saturation >= saturations[0]) & (saturation < saturations[1]))
            & ((value >= values[0]) & (value < values[1]))
        )
    return masks


def _hsv(
    picture: UInt8[np.ndarray, "H W 3"],
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Give hue from -12 to 348 degrees, saturation and value from 0 to 1."""
    red, green, blue = np.moveaxis(picture.astype(np.float64) / 255, 2, 0)
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    safe = np.where(chroma == 0, 1, chroma)
    hue = np.where(
        value == red, (green - blue) / safe, np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    hue = np.where(chroma == 0, 0, hue * 60)
    return (hue + 12) % 360 - 12, chroma / np.where(value == 0, 1, value), value
