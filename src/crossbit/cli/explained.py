"""What `search --explain` writes: each answer with a heat map for each word of the question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.show import printable, say
from crossbit.errors import UsageError
from crossbit.words import FUNCTION_WORDS

if TYPE_CHECKING:
    import numpy as np

    from crossbit.search.explain import Explanation
    from crossbit.search.records import Hit

EDGE = 168


def explained(model: Any, text: str | None, hits: Sequence[Hit]) -> list[Explanation]:
    """Explain every answer.

    Raises:
        UsageError: a picture asked, not words.
    """
    from crossbit.search.explain import explain

    if not text:
        raise UsageError("--explain: a picture asks, expected words: each word gets a map of where it is")
    return explain(model, text, [hit.path for hit in hits])


def maps_of(hits: Sequence[Hit], explanations: Sequence[Explanation]) -> list[list[tuple[str, np.ndarray]]]:
    """Draw the heat map of every word of every answer; words that say nothing of a picture only where there are no others."""
    from crossbit.search.explain import draw

    drawn = [draw(hit.path, found, EDGE) for hit, found in zip(hits, explanations, strict=True)]
    return [[(word, picture) for word, picture in maps if _tells(word)] or maps for maps in drawn]


def _tells(word: str) -> bool:
    bare = word.strip(".,:;!?\"'()").lower()
    return bare not in FUNCTION_WORDS and not (bare.isascii() and len(bare) < 3)


def write_explained(
    place: Path, text: str, hits: Sequence[Hit], maps: Sequence[Sequence[tuple[str, np.ndarray]]]
) -> list[Path]:
    """Write one sheet with a row an answer where the place ends in .png; else a folder with a strip an answer."""
    from crossbit.media.image import load_image
    from crossbit.media.sheet import write_contact_sheet

    rows = []
    for hit, drawn in zip(hits, maps, strict=True):
        first = (load_image(hit.path, size=EDGE), hit.path.name)
        rows.append((f"{hit.rank}. {text}   {hit.score:.3f}", [first, *((picture, word) for word, picture in drawn)]))
    if place.suffix.lower() == ".png":
        write_contact_sheet(rows, place, EDGE)
        say(f"explained: {printable(place)}")
        return [place]
    made = []
    for hit, (title, tiles) in zip(hits, rows, strict=True):
        path = place / f"{hit.rank:02d}-{hit.path.stem}.png"
        write_contact_sheet([(title, tiles)], path, EDGE)
        made.append(path)
    say(f"explained: {len(made)} pictures in {printable(place)}")
    return made
