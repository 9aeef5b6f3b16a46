"""What a picture roughly looks like, in 64 bits: the difference hash. It sees what shrinking and compressing leave as it was.

The picture is shrunk to nine by eight grey pixels; a bit says whether a pixel is lighter than the one to its right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from crossbit.media.image import load_image

BITS = 64
_EDGE = 96  # decoded no larger than this needs


def difference_hash(path: Path, *, max_pixels: int = 200_000_000) -> Bool[np.ndarray, " 64"]:
    """Give the difference hash of a picture file.

    Args:
        path: of the file.
        max_pixels: larger pictures are refused.

    Raises:
        MediaError: it cannot be read.
    """
    picture = Image.fromarray(load_image(path, size=_EDGE, max_pixels=max_pixels))
    grey = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BILINEAR), np.int16)
    bits: np.ndarray = (grey[:, :-1] > grey[:, 1:]).ravel()
    return bits
