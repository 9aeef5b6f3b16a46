"""Small clips and drawings of plain colours, named in every language: enough to make films and scenes of, and to check them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.grammar import event_languages
from crossbit.data.picto.names import Names
from crossbit.media.write import write_animation, write_png

NO_NAMES = Names({}, {}, {})
WORDS = ("turkey", "cook", "dragon", "rocket", "whale", "violin", "crown", "bell", "lemon", "yarn", "broom", "kite")
COLOURS = {
    "turkey": ("brown", (110, 60, 20)),
    "cook": ("black", (15, 15, 15)),
    "dragon": ("green", (40, 160, 60)),
    "rocket": ("red", (220, 20, 30)),
    "whale": ("blue", (20, 70, 210)),
    "violin": ("orange", (250, 130, 10)),
    "crown": ("yellow", (250, 210, 30)),
    "bell": ("grey", (150, 150, 150)),
    "lemon": ("yellow", (255, 225, 40)),
    "yarn": ("purple", (130, 50, 170)),
    "broom": ("pink", (250, 130, 190)),
    "kite": ("red", (200, 10, 10)),
}


def names_of(word: str, without: tuple[str, ...] = ()) -> tuple[Caption, ...]:
    """Name a thing in every language of the grammar: in English by its word, elsewhere with the language behind it."""
    return tuple(
        Caption(word if lang == "en" else f"{word}-{lang}", lang, "name")
        for lang in event_languages()
        if lang not in without
    )


def clip(folder: Path, word: str, split: str, frames: int = 6) -> Item:
    """Write a clip: the first frame is the plain colour all over, in the others a white spot walks through it."""
    film = np.full((frames, 64, 64, 3), COLOURS[word][1], np.uint8)
    for t in range(1, frames):
        film[t, 24:40, 8 * t : 8 * t + 8] = 255
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    write_animation(film, np.full(frames, 125), folder / "clips" / f"{word}.webp", quality=90)
    return Item(
        id=f"clips-{word}",
        path=f"clips/{word}.webp",
        modality="video",
        captions=names_of(word),
        labels=("group:objects", f"tag:{word}"),
        split=split,
        concept=f"emoji:{word}",
        source="clips",
        licence="MIT",
        start=0.0,
        end=frames / 8,
    )


def drawing(folder: Path, word: str, split: str, source: str = "noto") -> Item:
    """Write a drawing: a plain ellipse, wider or higher from word to word."""
    height, width = 60 + 5 * (WORDS.index(word) % 5), 60 + 5 * (WORDS.index(word) % 3)
    y, x = np.ogrid[:96, :96]
    inside = ((y - 48) / (height / 2)) ** 2 + ((x - 48) / (width / 2)) ** 2 < 1
    picture = np.where(inside[:, :, None], np.array(COLOURS[word][1], np.uint8), np.uint8(255))
    (folder / source).mkdir(parents=True, exist_ok=True)
    write_png(picture, folder / source / f"{word}.png")
    return Item(
        id=f"{source}-{word}",
        path=f"{source}/{word}.png",
        captions=names_of(word),
        labels=("group:objects", "subgroup:tool", f"tag:{word}"),
        split=split,
        concept=f"emoji:{word}",
        source=source,
        licence="Apache-2.0",
    )
