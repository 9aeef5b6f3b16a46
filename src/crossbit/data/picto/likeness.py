"""Find pictures that show the same drawing: a 64-bit hash proposes pairs, the pixels confirm them. Mirrored copies count.

A picture is cropped to its ink and brought to a square first, so that place and margin do not matter. The hash keeps the signs
of the lowest 8 x 8 waves of brightness around their median: two versions of one drawing differ in a few bits, and comparing all
pairs of 20,000 pictures takes seconds. Yellow faces and clock faces agree in their hashes too, which is why the pixels have the
last word: no small square of the one may differ from the other, so a mouth or the hand of a clock keeps them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64
from scipy.fft import dctn

from crossbit.media.resize import letterbox

HASH_BITS = 14
"""Hashes that differ in more bits are not compared further."""
ALIKE = ((0.95, 0.12), (0.99, 0.20))
"""Correlation of the whole thumbnails, channels together, and the largest difference, 0 to 1, of the mean of any square of
6 x 6 pixels: one of the two has to hold."""

_EDGE = 48
_CELL = 6
_WAVES = 8
_WHITE = 248
_BLOCK = 1024


@dataclass(frozen=True)
class Looks:
    """What is kept of N pictures to compare them by.

    Args:
        hashes: 64 bits each.
        mirrored: the hash of the mirror image.
        thumbnails: on white, cropped to the ink.
    """

    hashes: UInt64[np.ndarray, " N"]
    mirrored: UInt64[np.ndarray, " N"]
    thumbnails: UInt8[np.ndarray, "N 48 48 3"]

    def __len__(self) -> int:
        return len(self.hashes)


def thumbnail_of(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "48 48 3"]:
    """Crop a picture to what is not white, and bring it to 48 x 48 pixels."""
    ink = picture.min(axis=2) < _WHITE
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if rows.size:
        picture = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return letterbox(picture, _EDGE, "box")


def looks_of(thumbnails: Sequence[UInt8[np.ndarray, "48 48 3"]] | UInt8[np.ndarray, "N 48 48 3"]) -> Looks:
    """Hash thumbnails."""
    stacked = np.asarray(thumbnails, np.uint8).reshape(-1, _EDGE, _EDGE, 3)
    return Looks(_hashes(stacked), _hashes(stacked[:, :, ::-1]), stacked)


def alike(looks: Looks) -> Int[np.ndarray, "P 2"]:
    """Give the pairs of pictures that show the same drawing, the smaller place first, each once."""
    found = []
    for begin in range(0, len(looks), _BLOCK):
        for hashes, flip in ((looks.hashes, False), (looks.mirrored, True)):
            distances = np.bitwise_count(looks.hashes[begin : begin + _BLOCK, None] ^ hashes[None, begin:])
            left, right = np.nonzero(distances <= HASH_BITS)
            left, right = (left + begin)[left < right], (right + begin)[left < right]
            found.append(np.stack([left, right], axis=1)[_confirmed(looks, left, right, flip)])
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    return np.unique(pairs, axis=0)


def _hashes(thumbnails: UInt8[np.ndarray, "N 48 48 3"]) -> UInt64[np.ndarray, " N"]:
    waves = np.empty((len(thumbnails), _WAVES * _WAVES), np.float32)
    for begin in range(0, len(thumbnails), _BLOCK):
        grey = thumbnails[begin : begin + _BLOCK].mean(axis=3, dtype=np.float32)
        low = dctn(grey, axes=(1, 2), norm="ortho")[:, :_WAVES, :_WAVES]
        waves[begin : begin + _BLOCK] = low.reshape(len(grey), -1)
    # the first wave is the mean brightness: always far above the others
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def _confirmed(looks: Looks, left: Int[np.ndarray, " P"], right: Int[np.ndarray, " P"], flip: bool) -> np.ndarray:
    """Say which pairs agree in their pixels."""
    kept = np.zeros(len(left), bool)
    for begin in range(0, len(left), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        one = looks.thumbnails[left[part]].astype(np.float32) / 255
        other = looks.thumbnails[right[part]].astype(np.float32) / 255
        if flip:
            other = other[:, :, ::-1]
        correlation, difference = correlations(one, other), largest_difference(one, other)
        kept[part] = np.any([(correlation >= c) & (difference <= d) for c, d in ALIKE], axis=0)
    return kept


def correlations(one: Float[np.ndarray, "P 48 48 3"], other: Float[np.ndarray, "P 48 48 3"]) -> Float[np.ndarray, " P"]:
    """Give the correlation of each pair's pixels; 1 where both are of one colour, 0 where one of them is."""
    a, b = (x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(axis=1, keepdims=True) for x in (one, other))
    lengths = np.sqrt((a * a).sum(axis=1)), np.sqrt((b * b).sum(axis=1))
    plain = (lengths[0] < 1e-6) & (lengths[1] < 1e-6)
    product = np.maximum(lengths[0] * lengths[1], 1e-9)
    return np.where(plain, 1.0, (a * b).sum(axis=1) / product)


def largest_difference(
    one: Float[np.ndarray, "P 48 48 3"], other: Float[np.ndarray, "P 48 48 3"]
) -> Float[np.ndarray, " P"]:
    """Give the largest difference of the means of any square, over channels."""
    cells = _EDGE // _CELL
    difference = (one - other).reshape(len(one), cells, _CELL, cells, _CELL, 3).mean(axis=(2, 4))
    largest: np.ndarray = np.abs(difference).max(axis=(1, 2, 3))
    return largest
