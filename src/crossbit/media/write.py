"""Write pictures and films: the only other place that touches Pillow."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from crossbit.errors import UsageError

QUALITY = 75
_EFFORT = 2
"""Pillow's `method`: 4 takes 1.6 times as long for files that are 5 % smaller."""


def write_png(picture: UInt8[np.ndarray, "H W 3"], path: Path) -> None:
    """Write an RGB picture as PNG, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")  # two processes may write the same picture
    Image.fromarray(picture).save(partial, format="PNG", compress_level=3)
    partial.replace(path)


def png_bytes(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Give an RGB picture as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def write_animation(
    frames: UInt8[np.ndarray, "T H W 3"], durations_ms: Int64[np.ndarray, " T"], path: Path, *, quality: int = QUALITY
) -> None:
    """Write a film as animated WebP that repeats for ever, whole or not at all; the same frames give the same bytes.

    Lossy. Frames that equal the one before them are joined to it by the encoder, so that fewer may be read back, which
    together last as long.

    Args:
        durations_ms: for how long each frame is shown.
        quality: 0 to 100 as WebP counts it.

    Raises:
        UsageError: no frames, or not one duration of at least a millisecond for every frame.
    """
    if len(frames) == 0 or len(durations_ms) != len(frames) or durations_ms.min() < 1:
        raise UsageError(
            f"{path.name}: {len(frames)} frames and durations {durations_ms.tolist()}, expected at least one frame and for "
            "each the milliseconds that it is shown"
        )
    pictures = [Image.fromarray(frame) for frame in frames]
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    pictures[0].save(
        partial,
        format="WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=durations_ms.tolist(),
        loop=0,
        quality=quality,
        method=_EFFORT,
    )
    partial.replace(path)
