"""What a picture file says of itself in its header: size, when and with what it was taken. Pixels are not decoded."""

from __future__ import annotations

import os
import warnings
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

_SIDEWAYS = {5, 6, 7, 8}
"""EXIF orientations that exchange width and height."""


def image_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Give `width` and `height` as seen, and from EXIF `taken` (a datetime), `year` and `camera`, as far as they are there.

    A file whose header cannot be read says nothing: that is no reason to refuse its pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF blocks and large pictures, which are judged elsewhere
            with Image.open(path) as picture:
                width, height = picture.size
                exif = picture.getexif()
                orientation = exif.get(ExifTags.Base.Orientation)
                details = exif.get_ifd(ExifTags.IFD.Exif)
                taken = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
                camera = _text(exif.get(ExifTags.Base.Model)) or _text(exif.get(ExifTags.Base.Make))
    except Exception:  # noqa: BLE001 - whatever a damaged header makes Pillow raise
        return {}
    if orientation in _SIDEWAYS:
        width, height = height, width
    facts: dict[str, Any] = {"width": width, "height": height}
    if (moment := _moment(taken)) is not None:
        facts["taken"], facts["year"] = moment, moment.year
    if camera:
        facts["camera"] = camera
    return facts


def _moment(value: Any) -> datetime | None:
    """Read EXIF's `2024:05:01 12:30:00`; clocks that were never set give zeros."""
    try:
        return datetime.strptime(_text(value)[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""
