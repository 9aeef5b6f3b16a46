"""Cut a drawing or cut-out photograph out of the empty page around it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from crossbit.errors import MediaError
from crossbit.media.image import load_image
from crossbit.media.resize import resize

WHITE = 248
"""From here on a channel counts as white: scanned and JPEG-compressed backgrounds are not quite."""
_MAX_EDGE = 4096
_NEARLY, _TRIES = 0.9, 2


def ink_box(picture: UInt8[np.ndarray, "H W 3"]) -> tuple[int, int, int, int] | None:
    """Give top, bottom, left and right of what is not white, the ends exclusive; None for an empty page."""
    ink = np.any(picture < WHITE, axis=2)  # (H, W)
    rows, columns = np.flatnonzero(np.any(ink, axis=1)), np.flatnonzero(np.any(ink, axis=0))
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def cut_out(source: str | Path | bytes, edge: int, *, timeout_s: float = 20.0) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a picture, cut it down to its ink on white, and shrink it so that its longer side has at most `edge` pixels.

    A drawing that fills only a corner of its page is drawn once more, larger, so that it comes out as sharp as others.
    A raster picture is never enlarged.

    Raises:
        MediaError: it cannot be read, or is empty on white.
    """
    drawn_at = edge
    made = _inked(load_image(source, size=drawn_at, timeout_s=timeout_s))
    for _ in range(_TRIES):
        longest = max(made.shape[:2])
        # one pixel more than the ink is long, for its soft border; the second try measures finer than the first could
        larger = min(_MAX_EDGE, math.floor(drawn_at * edge / (longest + 1)))
        if longest >= _NEARLY * edge or larger <= drawn_at:
            break
        finer = _inked(load_image(source, size=larger, timeout_s=timeout_s))
        if max(finer.shape[:2]) <= longest:
            break  # a raster picture, which has no more to give
        made, drawn_at = finer, larger
    scale = edge / max(made.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(made)
    return resize(made, max(1, round(made.shape[0] * scale)), max(1, round(made.shape[1] * scale)))


def shades(picture: UInt8[np.ndarray, "H W 3"]) -> float:
    """Give the entropy of a picture's colours in bits, at 32 levels a channel and its white left out.

    A flat drawing has a handful of colours, a photograph hundreds.
    """
    inked = picture[(picture < WHITE).any(axis=2)].astype(np.int32) >> 3  # (n, 3)
    if not len(inked):
        return 0.0
    counts = np.bincount(inked @ np.array([1024, 32, 1]))
    share = counts[counts > 0] / len(inked)
    return float(-(share * np.log2(share)).sum())


def _inked(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    box = ink_box(picture)
    if box is None:
        raise MediaError("picture: nothing but white, expected something to see")
    return picture[box[0] : box[1], box[2] : box[3]]
