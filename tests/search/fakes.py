"""A small model that anybody can compute by hand, and pictures of one colour."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from crossbit.codes import pack
from crossbit.media.image import load_image

COLOURS = {
    "red": (220, 20, 20),
    "green": (20, 200, 30),
    "blue": (30, 40, 220),
    "yellow": (240, 220, 20),
    "black": (5, 5, 5),
    "white": (250, 250, 250),
    "orange": (250, 140, 10),
    "purple": (130, 20, 160),
}


class FakeModel:
    """Pictures by their colours, words by the colours that they name: a red picture and "red" have nearly one embedding.

    The first eight numbers are colours, the others words hashed. 64 bits are signs of fixed random projections.
    """

    views = ("image", "text")
    abilities = frozenset({"embeds", "hashes"})

    def __init__(self, name: str = "fake", *, dim: int = 40, bits: int = 64, seed: int = 0) -> None:
        self.name, self.dim, self.bits = name, dim, bits
        self.fingerprint = hashlib.sha256(f"{name} {dim} {bits} {seed}".encode()).hexdigest()[:16]
        self.width = dim or 40
        self.projection = np.random.default_rng(seed).standard_normal((self.width, bits or 8))
        self.calls: list[tuple[str, int]] = []
        self.seen: list[str] = []

    def encode(
        self, view: str, media: Sequence[Any], *, batch_size: int = 32, on_long_text: str = "truncate", **_: Any
    ) -> Any:
        self.calls.append((view, len(media)))
        if view == "text":
            self.seen.extend(media)
        rows = np.stack([self._text(one) if view == "text" else self._image(one) for one in media])
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        code = pack(rows.astype(np.float64) @ self.projection) if self.bits else None
        return SimpleNamespace(embedding=rows if self.dim else None, code=code)

    def count(self, view: str) -> int:
        return sum(number for kind, number in self.calls if kind == view)

    def _image(self, media: Any) -> np.ndarray:
        picture = media if isinstance(media, np.ndarray) else load_image(media, size=224)
        pixels = picture.reshape(-1, 3).astype(np.float32)
        anchors = np.array(list(COLOURS.values()), dtype=np.float32)
        distance = np.linalg.norm(pixels[:: max(1, len(pixels) // 400), None] - anchors, axis=2)
        row = np.zeros(self.width)
        row[: len(COLOURS)] = np.exp(-distance / 40).mean(axis=0)
        row[-1] = 0.01 + pixels.mean() / 1e5  # pictures of one colour are not quite equal
        return row

    def _text(self, text: str) -> np.ndarray:
        row = np.zeros(self.width)
        for word in re.findall(r"\w+", text.lower()):
            if word in COLOURS:
                row[list(COLOURS).index(word)] += 1
            else:
                digest = hashlib.sha256(word.encode()).digest()
                row[8 + digest[0] % (self.width - 9)] += 0.5
        return row if row.any() else row + 0.1


def paint(
    path: Path, colour: str | tuple[int, int, int] = "red", *, size: tuple[int, int] = (24, 18), mark: int = 0
) -> Path:
    """Write a picture of one colour; `mark` makes its content differ from others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    array[:] = COLOURS[colour] if isinstance(colour, str) else colour
    array[0, 0] = (mark % 256, mark // 256 % 256, mark // 65536)
    Image.fromarray(array).save(path)
    return path
