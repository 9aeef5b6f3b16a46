"""Draw a contact sheet: rows of small pictures, each with a line of text below it, on white."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from crossbit.media.resize import letterbox
from crossbit.media.write import write_png

_LINE, _GAP, _HEAD = 13, 6, 20
_INK, _QUIET = (20, 20, 20), (110, 110, 110)

Tile = tuple[UInt8[np.ndarray, "H W 3"], str]


def contact_sheet(rows: Sequence[tuple[str, Sequence[Tile]]], edge: int = 112) -> UInt8[np.ndarray, "H W 3"]:
    """Put pictures of any size into rows of squares.

    Args:
        rows: a title and the pictures below it, each with its text; letters that the built-in font lacks show as boxes.
        edge: of a square in pixels.
    """
    columns = max((len(tiles) for _, tiles in rows), default=1)
    high = _HEAD + edge + _LINE + _GAP
    sheet = Image.new("RGB", (columns * (edge + _GAP) + _GAP, max(1, len(rows)) * high + _GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for row, (title, tiles) in enumerate(rows):
        top = _GAP + row * high
        pen.text((_GAP, top), title, fill=_INK, font=ImageFont.load_default(size=13))
        for column, (picture, text) in enumerate(tiles):
            left = _GAP + column * (edge + _GAP)
            sheet.paste(Image.fromarray(letterbox(picture, edge)), (left, top + _HEAD))
            pen.text((left, top + _HEAD + edge), _fitting(text, edge, font), fill=_QUIET, font=font)
    return np.asarray(sheet)


def write_contact_sheet(rows: Sequence[tuple[str, Sequence[Tile]]], path: Path, edge: int = 112) -> None:
    """Draw a contact sheet and write it as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(contact_sheet(rows, edge), path)


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Cut a text so that it fits into a width."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
