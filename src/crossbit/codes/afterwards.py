"""Codes that a dense model is given after its training: embedding (N, E) -> relaxed code (N, K), by one matrix.

    embedding - mean of its kind of media -> directions (E, K) -> tanh -> relaxed code; its signs are the bits

A picture's embedding and a text's have their own means: the two kinds of media lie a little apart, and a bit that divided
pictures from texts would be lost for comparing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from crossbit.errors import ModelError

CodesBy = Literal["itq", "sign", "random"]
"""How: rotated towards the corners of the cube, the embedding's own signs, or the signs of random directions."""

LARGEST = 1 << 26
"""Numbers that a matrix of directions may have: 8,192 bits of an embedding of 8,192."""


@dataclass(frozen=True)
class Projection:
    """Hold what turns embeddings into codes.

    Args:
        means: view to the mean of its embeddings (E,), which is taken away.
        directions: (E, K), one column a bit; they come from files, so their shapes are checked here and not by a type.

    Raises:
        ModelError: the widths do not agree, or a number is not finite.
    """

    means: Mapping[str, np.ndarray]
    directions: np.ndarray

    def __post_init__(self) -> None:
        shape = self.directions.shape
        if len(shape) != 2 or not shape[1] or self.directions.size > LARGEST:
            raise ModelError(
                f"codes: directions have shape {shape}, expected a column a bit, {LARGEST} numbers at most"
            )
        for view, mean in self.means.items():
            if mean.shape != shape[:1]:
                raise ModelError(f"codes: the mean of {view!r} has shape {mean.shape}, expected ({shape[0]},)")
        if not all(np.isfinite(rows).all() for rows in (self.directions, *self.means.values())):
            raise ModelError("codes: a mean or a direction holds a number that is not finite")

    @property
    def bits(self) -> int:
        """Give K."""
        return int(self.directions.shape[1])

    def relax(self, view: str, embedding: Float32[np.ndarray, "N E"]) -> Float32[np.ndarray, "N K"]:
        """Give the relaxed codes of embeddings of one kind of media.

        Raises:
            ModelError: there is no mean of this kind, or the embeddings are of another width.
        """
        if view not in self.means or embedding.shape[1] != len(self.directions):
            raise ModelError(
                f"codes: made for {sorted(self.means)} of {len(self.directions)} numbers, "
                f"asked for {view!r} of {embedding.shape[1]}"
            )
        relaxed: np.ndarray = np.tanh((embedding - self.means[view]) @ self.directions)
        return relaxed

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save_file

        means = {f"mean_{view}": np.ascontiguousarray(mean, np.float32) for view, mean in self.means.items()}
        save_file({"directions": np.ascontiguousarray(self.directions, np.float32), **means}, path)

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read a safetensors file.

        Raises:
            ModelError: it is damaged, or holds something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = {name: rows.astype(np.float32) for name, rows in load_file(path).items()}
            directions = found.pop("directions")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: no codes of a model ({error})", "make them again: `crossbit codes`") from error
        return cls({name.removeprefix("mean_"): mean for name, mean in found.items()}, directions)


class CodedHead:
    """A head of a dense model, with the codes that were made for it."""

    def __init__(self, head: object, projection: Projection, view: str) -> None:
        """Take the head of the model as it was trained."""
        self.head = head
        self.projection = projection
        self.view = view

    @property
    def reads(self) -> frozenset[str]:
        """Name what the head reads of features."""
        found: frozenset[str] = self.head.reads  # type: ignore[attr-defined]
        return found

    def __call__(self, features: object) -> tuple[np.ndarray, np.ndarray]:
        """Give embedding and relaxed code."""
        embedding = self.head(features)[0]  # type: ignore[operator]
        return embedding, self.projection.relax(self.view, embedding)
