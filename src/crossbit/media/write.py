"""Write pictures: the only other place that touches Pillow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def write_png(picture: UInt8[np.ndarray, "H W 3"], path: Path) -> None:
    """Write an RGB picture as PNG, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")  # two processes may write the same picture
    Image.fromarray(picture).save(partial, format="PNG", compress_level=3)
    partial.replace(path)
