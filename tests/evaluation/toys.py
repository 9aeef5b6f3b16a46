"""A small manifest and models that know it by heart, more or less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.codes import pack
from crossbit.data.manifest import Caption, Item, Manifest


def manifest(
    count: int = 40, captions: Sequence[int] = (2, 1, 3), languages: Sequence[str] = ("en", "de"), name: str = "toy"
) -> Manifest:
    """Give items t0, t1, ...: half of them test, two to a concept, with 2, 1, 3, 2, ... captions in each language."""
    items = []
    for number in range(count):
        texts = [
            Caption(f"{lang} {number} {place}", lang)
            for lang in languages
            for place in range(captions[number % len(captions)])
        ]
        items.append(
            Item(
                id=f"t{number}",
                path=f"t{number}.png",
                captions=tuple(texts),
                split="test" if number % 2 == 0 else "train",
                concept=f"c{number // 4}",
                labels=(f"l{number % 3}", f"m{number % 5}"),
            )
        )
    return Manifest(name, Path("pictures"), tuple(items))


@dataclass
class Rows:
    embedding: np.ndarray | None
    code: np.ndarray | None
    relaxed: np.ndarray | None = None


@dataclass
class ToyModel:
    """Knows which number is in a path or text; `noise` says how badly."""

    noise: float = 0.0
    seed: int = 0
    name: str = "toy model"
    dim: int = 32
    bits: int = 0
    fingerprint: str = "f00d"
    calls: list[tuple[str, int]] = field(default_factory=list)

    def encode(self, view: str, media: Sequence[Any], *, batch_size: int = 32, show_progress: bool = False) -> Rows:
        self.calls.append((view, len(media)))
        rows = np.stack([self._row(view, str(one)) for one in media])
        relaxed = rows[:, : self.bits] if self.bits else None
        return Rows(rows if self.dim else None, None if relaxed is None else pack(relaxed), relaxed)

    def _row(self, view: str, one: str) -> np.ndarray:
        one = Path(one).stem if view == "image" else one
        number = int(one[1:]) if view == "image" else int(one.split()[1])
        truth = np.random.default_rng(number).standard_normal(32)
        wobble = np.random.default_rng([self.seed, *one.encode()]).standard_normal(32)
        row = (truth + self.noise * wobble).astype(np.float32)
        return row / np.linalg.norm(row)
