"""Find pictures that show the same drawing: a 64-bit hash proposes pairs, the pixels confirm them. Mirrored copies count.

A picture is cropped to its ink and brought to a square first, so that place and margin do not matter. The hash keeps the signs
of the lowest 8 x 8 waves of brightness around their median: two versions of one drawing differ in a few bits, and comparing all
pairs of 20,000 pictures takes seconds. A plain disc or square has few waves, and the signs of the others are chance: bits so
near the median are not counted. Yellow faces and clock faces agree in their hashes too, which is why the pixels have the last
word: no small square of the one may differ from the other, so a mouth or the hand of a clock keeps them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt64
from scipy.fft import dctn

from crossbit.media.resize import letterbox

HASH_BITS = 6
"""Hashes that differ in more of the bits that are sure in both are not compared further."""
SURE = 12.0
"""How far a wave is from the median when its bit is sure: half a step of 256 shades for a wave over the whole thumbnail."""
ALIKE = ((0.95, 0.12), (0.99, 0.20))
"""Correlation of the whole thumbnails, channels together, and the largest difference, 0 to 1, of the mean of any square of
6 x 6 pixels: one of the two has to hold."""
PLAIN = 2.0
"""Standard deviation, of 255, below which a picture has no form that could correlate."""

_EDGE = 48
_CELL = 6
_WAVES = 8
_WHITE = 248
_BLOCK = 1024


@dataclass(frozen=True)
class Hashes:
    """64 bits of N pictures, and which of them are sure."""

    bits: UInt64[np.ndarray, " N"]
    sure: UInt64[np.ndarray, " N"]

    def distances(self, rows: slice, other: Hashes) -> UInt8[np.ndarray, "R M"]:
        """Count the sure bits in which rows differ from all of the other, from the first row on."""
        begin = rows.start
        differ = self.bits[rows, None] ^ other.bits[None, begin:]
        counted: np.ndarray = np.bitwise_count(differ & self.sure[rows, None] & other.sure[None, begin:])
        return counted


@dataclass(frozen=True)
class Looks:
    """What is kept of N pictures to compare them by.

    Args:
        hashes: of the pictures.
        mirrored: of their mirror images.
        thumbnails: on white, cropped to the ink.
        squares: the means of 8 x 8 squares of the thumbnails, 0 to 1.
    """

    hashes: Hashes
    mirrored: Hashes
    thumbnails: UInt8[np.ndarray, "N 48 48 3"]
    squares: Float[np.ndarray, "N 8 8 3"]

    def __len__(self) -> int:
        return len(self.thumbnails)


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
    side = _EDGE // _CELL
    squares = np.empty((len(stacked), side, side, 3), np.float32)
    for begin in range(0, len(stacked), _BLOCK):
        part = stacked[begin : begin + _BLOCK].reshape(-1, side, _CELL, side, _CELL, 3)
        squares[begin : begin + _BLOCK] = part.mean(axis=(2, 4), dtype=np.float32) / 255
    return Looks(_hashes(stacked), _hashes(stacked[:, :, ::-1]), stacked, squares)


def alike(looks: Looks) -> Int[np.ndarray, "P 2"]:
    """Give the pairs of pictures that show the same drawing, the smaller place first, each once."""
    found = []
    for begin in range(0, len(looks), _BLOCK):
        for hashes, flip in ((looks.hashes, False), (looks.mirrored, True)):
            distances = looks.hashes.distances(slice(begin, begin + _BLOCK), hashes)
            left, right = np.nonzero(distances <= HASH_BITS)
            later = left < right
            pairs = np.stack([left[later], right[later]], axis=1) + begin  # (P, 2)
            found.append(_confirmed(looks, pairs, flip))
    return np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)


def _hashes(thumbnails: UInt8[np.ndarray, "N 48 48 3"]) -> Hashes:
    waves = np.empty((len(thumbnails), _WAVES * _WAVES), np.float32)
    for begin in range(0, len(thumbnails), _BLOCK):
        grey = thumbnails[begin : begin + _BLOCK].mean(axis=3, dtype=np.float32)
        low = dctn(grey, axes=(1, 2), norm="ortho")[:, :_WAVES, :_WAVES]
        waves[begin : begin + _BLOCK] = low.reshape(len(grey), -1)
    # the first wave is the mean brightness: always far above the others
    waves -= np.median(waves[:, 1:], axis=1, keepdims=True)
    return Hashes(_packed(waves > 0), _packed(np.abs(waves) > SURE))


def _packed(bits: Bool[np.ndarray, "N 64"]) -> UInt64[np.ndarray, " N"]:
    return np.packbits(bits, axis=1).view(">u8").reshape(-1).astype(np.uint64)


def _confirmed(looks: Looks, pairs: Int[np.ndarray, "P 2"], flip: bool) -> Int[np.ndarray, "Q 2"]:
    """Keep the pairs that agree in their pixels: first by their squares, which is quick, then by the whole thumbnails."""
    turn = -1 if flip else 1
    loosest = max(difference for _, difference in ALIKE)
    kept: list[np.ndarray] = []
    for begin in range(0, len(pairs), 16 * _BLOCK):
        part = pairs[begin : begin + 16 * _BLOCK]
        other = looks.squares[part[:, 1]][:, :, ::turn]
        difference = np.abs(looks.squares[part[:, 0]] - other).max(axis=(1, 2, 3))
        near, difference = part[difference <= loosest], difference[difference <= loosest]
        if not len(near):
            continue
        agree = correlations(looks.thumbnails[near[:, 0]], looks.thumbnails[near[:, 1]][:, :, ::turn])
        kept.append(near[np.any([(agree >= c) & (difference <= d) for c, d in ALIKE], axis=0)])
    return np.concatenate(kept) if kept else np.empty((0, 2), np.int64)


def correlations(one: UInt8[np.ndarray, "P 48 48 3"], other: UInt8[np.ndarray, "P 48 48 3"]) -> Float[np.ndarray, " P"]:
    """Give the correlation of each pair's pixels; 1 where both are plain, 0 where one of them is of one colour."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (one, other))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    lengths = np.sqrt((a * a).sum(axis=1)), np.sqrt((b * b).sum(axis=1))
    limit = PLAIN * np.sqrt(a.shape[1])
    plain = (lengths[0] < limit) & (lengths[1] < limit)
    product = np.maximum(lengths[0] * lengths[1], 1e-9)
    return np.where(plain, 1.0, (a * b).sum(axis=1) / product)
