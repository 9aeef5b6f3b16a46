"""Draw where something is: a picture, its weights over a grid laid on it as heat."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from crossbit.media.resize import letterbox

_COLD, _HOT = np.array([40, 50, 120], np.float32), np.array([255, 190, 30], np.float32)
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def heat_map(
    picture: UInt8[np.ndarray, "H W 3"], heat: Float[np.ndarray, "h w"], edge: int = 224
) -> UInt8[np.ndarray, "edge edge 3"]:
    """Lay heat over a picture in grey, letterboxed as the encoder saw it; the hottest cell is yellow, the coldest blue.

    Args:
        picture: of any size.
        heat: a value for each cell of the grid; where all are equal, all are cold.
        edge: of the square in pixels.
    """
    spread = float(heat.max() - heat.min())
    even = (heat - heat.min()) / spread if spread > 0 else np.zeros_like(heat)
    smooth = Image.fromarray(even.astype(np.float32)).resize((edge, edge), Image.Resampling.BILINEAR)
    share = np.asarray(smooth, np.float32).clip(0, 1)[..., None]
    grey = (letterbox(picture, edge).astype(np.float32) @ _GREY)[..., None].repeat(3, 2)
    colour = _COLD + share * (_HOT - _COLD)
    mixed: UInt8[np.ndarray, "edge edge 3"] = np.rint(0.45 * grey + 0.55 * colour).clip(0, 255).astype(np.uint8)
    return mixed
