"""Pictures in, RGB arrays out: every format and fault that a folder of pictures holds.

Whatever is wrong with a file ends as a MediaError with its name and one reason; never as a blank or half picture.

    .jpg .png .webp .gif .bmp .tiff   Pillow (raster.py), in a thread that is given up after the time-out. Its decoders let go
                                      of the interpreter while they work and cannot run longer than the pixel cap allows, so
                                      what is given up ends by itself.
    .svg                              resvg (vector.py), in a process of its own that is killed after the time-out: a small
                                      drawing can ask for hours of work, abort the process it runs in, or read other files.

The content decides, not the suffix.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from crossbit.errors import MediaError, UsageError
from crossbit.media.deadline import in_time

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES: frozenset[str] = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"})
"""Suffixes, in lower case, of the files that are taken for pictures."""

MAX_PIXELS = 200_000_000
TIMEOUT_S = 20.0


def load_image(
    source: str | Path | bytes | np.ndarray | Image,
    *,
    size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    timeout_s: float = TIMEOUT_S,
) -> UInt8[np.ndarray, "H W 3"]:
    """Decode a picture: first frame, upright as EXIF says, transparent parts on white, 8 bits a channel.

    Args:
        source: a path, the bytes of a file, a Pillow picture, or an array (grey, RGB or RGBA bytes).
        size: hint that the caller will fit the picture into a square of this edge. Decoders use it to work less: a large
            picture comes shrunk by a whole factor, its longer side still at least twice the edge; an SVG is drawn at this
            edge (without the hint at 1024).
        max_pixels: refuse, before decoding, what has more: a file of a few kB can unpack to more than the memory holds.
        timeout_s: give up after this many seconds.

    Raises:
        MediaError: it cannot be read as a picture; the message says why.
        UsageError: `source` is something else altogether.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, str | Path):
        from crossbit.media.files import shown

        path, name = Path(source), shown(source)
        return in_time(lambda: _from_path(path, name, size, max_pixels, timeout_s), name, timeout_s)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return in_time(lambda: _from_bytes(data, "picture", size, max_pixels, timeout_s), "picture", timeout_s)
    if _is_pillow(source):
        from crossbit.media.raster import rgb_of

        return in_time(lambda: rgb_of(source, "picture", max_pixels), "picture", timeout_s)
    raise UsageError(f"picture: found a {type(source).__name__}, expected a path, bytes, a Pillow picture or an array")


def thumbnail(source: str | Path | bytes | np.ndarray | Image, edge: int = 256) -> bytes:
    """Give a small WebP of a picture, at most `edge` pixels wide and high, for pages that carry their pictures along.

    Raises:
        MediaError: it cannot be read as a picture.
    """
    from crossbit.media.raster import webp

    return webp(load_image(source, size=edge), edge)


def _from_path(
    path: Path, name: str, size: int | None, max_pixels: int, timeout_s: float
) -> UInt8[np.ndarray, "H W 3"]:
    from crossbit.media.files import open_regular
    from crossbit.media.raster import decode, looks_like_svg

    with open_regular(path) as file:
        try:
            if looks_like_svg(file):
                return _from_svg(file.read(), name, size, max_pixels, timeout_s)
            return decode(file, name, size, max_pixels)
        except OSError as error:  # the disk, not the picture
            raise MediaError(f"{name}: cannot be read ({error.strerror or error})") from error


def _from_bytes(
    data: bytes, name: str, size: int | None, max_pixels: int, timeout_s: float
) -> UInt8[np.ndarray, "H W 3"]:
    import io

    from crossbit.media.raster import decode, looks_like_svg

    if not data:
        raise MediaError(f"{name}: 0 bytes, expected a picture")
    file = io.BytesIO(data)
    if looks_like_svg(file):
        return _from_svg(data, name, size, max_pixels, timeout_s)
    return decode(file, name, size, max_pixels)


def _from_svg(
    data: bytes, name: str, size: int | None, max_pixels: int, timeout_s: float
) -> UInt8[np.ndarray, "H W 3"]:
    import io

    from crossbit.media.raster import decode
    from crossbit.media.vector import render

    # the drawing comes back as PNG; nothing in it is larger than was asked for
    return decode(io.BytesIO(render(data, name, size, timeout_s)), name, None, max_pixels)


def _from_array(array: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    if (
        array.dtype != np.uint8
        or 0 in array.shape
        or (array.ndim, *array.shape[2:]) not in ((2,), (3, 1), (3, 3), (3, 4))
    ):
        raise UsageError(
            f"picture: found an array of {array.dtype} with shape {array.shape}, expected uint8 of shape (H, W), (H, W, 3) "
            "or (H, W, 4)"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    if array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.uint16)
        return ((array[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return array


def _is_pillow(source: object) -> bool:
    # asked by name, so that those who have no Pillow picture need not import Pillow
    return any(kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(source).__mro__)
