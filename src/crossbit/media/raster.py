"""Decode raster pictures with Pillow: told by their content, checked before they unpack, brought to RGB on white.

Pillow's classes are called by name and not through `Image.open`: only the formats that we promise are ever parsed, and its
own pixel limit, a global that belongs to the program around us, is neither needed nor touched.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from jaxtyping import UInt8
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from crossbit.errors import MediaError

# remarks on odd metadata and on a size that we have judged ourselves; what cannot be decoded raises all the same
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_CLASSES = (
    ("JPEG", (b"\xff\xd8\xff",), JpegImagePlugin.JpegImageFile),
    ("PNG", (b"\x89PNG\r\n\x1a\n",), PngImagePlugin.PngImageFile),
    ("GIF", (b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    ("WebP", (b"RIFF",), WebPImagePlugin.WebPImageFile),
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImagePlugin.TiffImageFile),
    ("BMP", (b"BM",), BmpImagePlugin.BmpImageFile),
)
_STRANGERS = (
    (b"ftypavif", 4, "AVIF"),
    (b"ftyphei", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIC"),
    (b"ftyp", 4, "video"),
    (b"%PDF", 0, "PDF"),
    (b"PK\x03\x04", 0, "zip"),
    (b"\x1f\x8b", 0, "gzip"),
    (b"8BPS", 0, "Photoshop"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"<!doctype html", 0, "HTML"),
    (b"<html", 0, "HTML"),
)
_HEAD = 1024
_NEVER_WRITTEN = 512

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""


def looks_like_svg(file: io.BufferedIOBase) -> bool:
    """Say whether a file begins like an SVG; the place in the file stays."""
    head = file.read(4 * _HEAD)
    file.seek(0)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = head.decode("utf-16", "replace").lstrip("\ufeff \t\r\n").encode()
    return text.startswith(b"<") and b"<svg" in text


def decode(file: io.BufferedIOBase, name: str, size: int | None, max_pixels: int) -> UInt8[np.ndarray, "H W 3"]:
    """Decode a file that is open at its beginning.

    Raises:
        MediaError: no known format, too many pixels, or data that ends early.
    """
    head = file.read(_HEAD)
    file.seek(0)
    kind, reader = _format_of(head, name)
    if kind in ("JPEG", "WebP"):
        _check_end(file, name, kind)
    try:
        picture = reader(file)
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow says all four of damaged headers
        raise MediaError(f"{name}: a damaged {kind} ({error or 'its header cannot be read'})") from error
    with picture:
        _check_pixels(picture, name, max_pixels)
        if kind == "JPEG" and size is not None:
            _draft(picture, size)
        try:
            return _rgb(picture, size)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise MediaError(f"{name}: a damaged {kind} ({error or 'its data cannot be read'})") from error


def rgb_of(picture: Image.Image, name: str, max_pixels: int) -> UInt8[np.ndarray, "H W 3"]:
    """Bring a Pillow picture to RGB on white; the picture itself stays as it is."""
    _check_pixels(picture, name, max_pixels)
    return _rgb(picture)


def webp(picture: UInt8[np.ndarray, "H W 3"], edge: int) -> bytes:
    """Encode a picture as WebP, shrunk to fit into a square of `edge` pixels."""
    made = Image.fromarray(picture)
    made.thumbnail((edge, edge), Image.Resampling.BICUBIC, reducing_gap=3.0)
    buffer = io.BytesIO()
    made.save(buffer, "WEBP", quality=82, method=2)
    return buffer.getvalue()


def _format_of(head: bytes, name: str) -> tuple[str, type]:
    for kind, starts, reader in _CLASSES:
        if head.startswith(starts) and (kind != "WebP" or head[8:12] == b"WEBP"):
            return kind, reader
    known = ", ".join([kind for kind, _, _ in _CLASSES]) + " or SVG"
    low = head.lower().lstrip(b"\xef\xbb\xbf \t\r\n") if head[:1] in b"\xef<\n\r\t " else head
    stranger = next((kind for mark, place, kind in _STRANGERS if low[place:].startswith(mark)), "")
    found = f"it is {stranger}" if stranger else f"its first bytes {head[:8]!r} are of no known format"
    raise MediaError(f"{name}: {found}, expected {known}")


def _check_pixels(picture: Image.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise MediaError(
            f"{name}: {width} x {height} = {width * height:,} pixels, expected at most {max_pixels:,}",
            "make it smaller, or raise the limit (`max_pixels`) if there is memory for it",
        )
    if width * height == 0:
        raise MediaError(f"{name}: {width} x {height} pixels, expected at least one")


def _check_end(file: io.BufferedIOBase, name: str, kind: str) -> None:
    """Refuse a file whose end was never written: the decoders take zeros for data and give grey or noise.

    Copies and downloads that break off leave such files where the space was reserved first.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _NEVER_WRITTEN))
    tail = file.read()
    file.seek(0)
    if len(tail) < _NEVER_WRITTEN or any(tail):
        return
    written = file.read().rstrip(b"\0")
    file.seek(0)
    if not (kind == "JPEG" and written.endswith(b"\xff\xd9")):  # some cameras pad after the end mark
        raise MediaError(f"{name}: a damaged {kind} (its last {size - len(written):,} bytes were never written)")


def _draft(picture: JpegImagePlugin.JpegImageFile, size: int) -> None:
    # twice the edge, so that the caller's resampling still has something to average
    scale = 2 * size / max(picture.size)
    if scale < 1:
        picture.draft(None, (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _rgb(picture: Image.Image, size: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
    picture.load()  # the first frame; for TIFF this already turns the picture upright and forgets the tag
    turn = _TURNS.get(_orientation(picture))
    if turn is not None:
        picture = picture.transpose(turn)
    if picture.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        picture = Image.fromarray(_eight_bits(picture))
    elif picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        picture = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture.alpha_composite(layer)
    picture = picture.convert("RGB")
    # mean of whole blocks, down to no less than twice the edge: what waits to be encoded should not fill the memory
    if size is not None and (factor := max(picture.size) // (2 * size)) > 1:
        picture = picture.reduce(factor)
    return np.array(picture)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the pixels, and Pillow raises a dozen kinds for it
        return 1


def _eight_bits(picture: Image.Image) -> UInt8[np.ndarray, "H W"]:
    """Bring deeper grey to bytes.

    16 bits keep their scale, 65535 is white. Wider integers and floats have none that a file would state: 0 to 1, 0 to 255
    and 0 to 65535 are recognised by their range, all else is stretched from its least to its greatest value.
    """
    if picture.mode.startswith("I;16"):
        return ((np.asarray(picture).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    values = np.asarray(picture).astype(np.float64)
    finite = values[np.isfinite(values)]
    least, most = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    tops = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
    top = next((top for top in tops if most <= top), 0.0) if least >= 0 else 0.0
    low, high = (0.0, top) if top else (least, most)
    scaled = (values - low) / ((high - low) or 1.0) * 255
    return np.rint(np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255)).astype(np.uint8)
