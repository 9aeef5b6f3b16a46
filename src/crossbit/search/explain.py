"""Explain: which word of a question goes with which part of a picture, as arrays and as pictures.

A method that aligns says it itself: how much each word looks at each cell of the grid. Of a dual encoder, every cell is taken
for a picture of its own and compared with every word by itself: patch-word similarity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from crossbit.errors import AbilityError, UsageError
from crossbit.features import Features
from crossbit.media.heat import heat_map
from crossbit.media.image import load_image
from crossbit.words import split_words


@dataclass(frozen=True)
class Explanation:
    """One heat map a word.

    Args:
        words: of the question, in order.
        heat: for each word a value for each cell of the picture's grid, row by row.
        kind: "attention": a word's values sum to 1; "similarity": cosines of word and cell.
    """

    words: tuple[str, ...]
    heat: Float32[np.ndarray, "W h w"]
    kind: Literal["attention", "similarity"]

    def to_dict(self) -> dict[str, Any]:
        """Give words and maps as JSON knows them."""
        maps = np.round(self.heat, 4).tolist()
        return {"kind": self.kind, "words": [{"word": w, "heat": m} for w, m in zip(self.words, maps, strict=True)]}


def explain(model: Any, text: str, pictures: Sequence[Any]) -> list[Explanation]:
    """Say of each picture which word goes with which part of it.

    Args:
        model: aligns, or embeds; a `crossbit.Model`.
        text: words, in any language that the model reads.
        pictures: paths, bytes, Pillow pictures or arrays.

    Raises:
        AbilityError: the model can do neither, or its picture encoder has no grid.
        UsageError: there are no words.
    """
    if not text.strip():
        raise UsageError("explain: the question is empty, expected words")
    if not model.abilities & {"aligns", "embeds"}:
        raise AbilityError(
            f"model `{model.name}` neither aligns words with parts of a picture nor embeds them",
            "take one that does: `crossbit methods` lists what each can",
        )
    if not len(pictures):
        return []
    found = _aligned if "aligns" in model.abilities else _compared
    return found(model, text, model.features("image", pictures))


def draw(picture: Any, explanation: Explanation, edge: int = 224) -> list[tuple[str, np.ndarray]]:
    """Give for each word the picture with its heat map, letterboxed into a square of `edge` pixels."""
    pixels = picture if isinstance(picture, np.ndarray) else load_image(picture, size=edge)
    maps = zip(explanation.words, explanation.heat, strict=True)
    return [(word, heat_map(pixels, heat, edge)) for word, heat in maps]


def pieces(encoder: Any, text: str) -> list[tuple[str, int]]:
    """Give each word of a text with the number of tokens that the encoder makes of it, in order.

    An encoder that splits words into pieces splits each by itself; `words` has one token for each of its own words.
    """
    if not hasattr(encoder, "split"):
        return [(word, 1) for word in split_words(text)]
    words = text.split()
    counts = [len(made) for made in encoder.split(words)]
    whole = len(encoder.split([text])[0])
    if sum(counts) != whole:  # a script without spaces, whose pieces run over what was cut
        return [(text, whole)]
    return [(word, count) for word, count in zip(words, counts, strict=True) if count]


def _aligned(model: Any, text: str, images: Features) -> list[Explanation]:
    """Ask the method; a word's weights are the mean of those of its pieces."""
    encoder, words = model.encoder("text"), model.features("text", [text])
    first, side = _grid(model, images)
    head = len(encoder.frame.head) if hasattr(encoder, "frame") else 0
    spans, at = [], head
    for word, count in pieces(encoder, text):
        spans.append((word, slice(at, min(at + count, words.tokens.shape[1]))))
        at += count
    spans = [(word, span) for word, span in spans if span.start < span.stop]  # what was cut off the end is not shown
    found = []
    for row in range(len(images)):
        weights = model.align(words, images[row : row + 1])[0]
        maps = [weights[span, first:].mean(0).reshape(side, side) for _, span in spans]
        found.append(_explanation([word for word, _ in spans], maps, "attention"))
    return found


def _compared(model: Any, text: str, images: Features) -> list[Explanation]:
    """Embed every word and every cell by itself."""
    if images.tokens.shape[2] != images.pooled.shape[1]:
        raise AbilityError(
            f"model `{model.name}`: a token of its picture encoder has {images.tokens.shape[2]} numbers and a whole picture "
            f"{images.pooled.shape[1]}, expected one width, so that a cell can be taken for a picture",
            "explain with a method that aligns, such as scan, mvsen or vse_fusion",
        )
    first, side = _grid(model, images)
    words = text.split() or [text]
    asked = model.rows(model.features("text", words)).embedding
    found = []
    for row in range(len(images)):
        cells = images.tokens[row]
        # the whole grid with one cell to be seen, since a picture's number of tokens is fixed in an exported model
        alone = np.eye(len(cells), dtype=bool)
        seen = Features("image", np.broadcast_to(cells, (len(cells), *cells.shape)), alone, cells)
        cosines = asked @ model.rows(seen).embedding[first:].T
        found.append(_explanation(words, [one.reshape(side, side) for one in cosines], "similarity"))
    return found


def _explanation(
    words: Sequence[str], maps: Sequence[np.ndarray], kind: Literal["attention", "similarity"]
) -> Explanation:
    return Explanation(tuple(words), np.stack(maps).astype(np.float32), kind)


def _grid(model: Any, images: Features) -> tuple[int, int]:
    """Give the place of the first cell among the tokens, after one that stands for the whole, and the grid's side."""
    tokens = images.tokens.shape[1]
    for first in (0, 1):
        side = math.isqrt(tokens - first)
        if side > 1 and side * side == tokens - first and images.mask.all():
            return first, side
    raise AbilityError(
        f"model `{model.name}`: its picture encoder gives {tokens} tokens, expected a square grid to draw on",
        "regions without boxes cannot be drawn; take a model on the packaged image encoder",
    )
