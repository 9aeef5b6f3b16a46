"""Stamps: 792 captioned pictures of Tux Paint, many of them cut-out photographs, with a sentence in up to 77 languages.

A picture is cut down to its ink on white, its longer side at most 512 pixels. Captions are the sentences (kind `sentence`),
and in English a `name` where the sentence is no more than one: the file's stem is not taken for it, since stems are
abbreviations ("t_pants", "010dime"). Labels are Unicode's group and subgroup, by folder (`folders.py`).

`metadata.photographic` tells photographs from drawings: a PNG that is no copy of an SVG, lies in no folder of drawings, and has
the many shades of a photograph. By eye about one in thirty is told wrong.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.folders import STAMP_FOLDERS, labels_of
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names
from crossbit.data.picto.packages import unpacked
from crossbit.data.picto.part import Part, Quarantined
from crossbit.data.picto.stamplist import ROOT, Stamp, name_of, read_stamps
from crossbit.errors import MediaError
from crossbit.media.image import load_image
from crossbit.media.ink import cut_out, shades
from crossbit.media.write import write_png

SOURCE = "stamps"
EDGE = 512
PHOTOGRAPHIC = 4.6
"""Bits of colour from which on a PNG outside the folders of drawings is taken for a photograph."""
_DRAWN = frozenset(
    ("cartoon", "toys", "roadsigns", "flags", "faces", "chess", "math", "shapes", "00_symbols", "easter", "hanukkah")
)


def build(folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Cut the pictures out below `folder`; those that lie there are kept.

    Args:
        folder: of the prepared data.
        names: whose groups the labels are.
        progress: show a bar.
        workers: so many pictures are made at a time.

    Raises:
        ManifestError: the package cannot be had, or holds no stamps.
    """
    return build_from(unpacked("stamps", progress=progress) / ROOT, folder, names, progress=progress, workers=workers)


def build_from(root: Path, folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Do the same from a tree of stamps."""
    stamps, quarantine = read_stamps(root, SOURCE)
    outcomes = in_parallel(lambda stamp: _stamp(stamp, folder, names), list(stamps), "cut stamps", progress, workers)
    items: list[Item] = []
    broken: list[Quarantined] = []
    for stamp, outcome in zip(stamps, outcomes, strict=True):
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            broken.append(Quarantined(SOURCE, stamp.key, outcome))
    return Part(tuple(items), (*quarantine, *broken))


def _stamp(stamp: Stamp, folder: Path, names: Names) -> Item | str:
    """Give a stamp's item, or what is wrong with its picture."""
    target = folder / SOURCE / f"{stamp.key}.png"
    try:
        if target.is_file():
            picture = load_image(target)
        else:
            picture = _cut_out(stamp)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_png(picture, target)
    except MediaError as error:
        return error.message.removeprefix(f"{stamp.pictures[-1]}: ").removeprefix("picture: ")
    kind = stamp.pictures[0].suffix[1:]
    drawn = kind == "svg" or bool(_DRAWN & set(stamp.key.split("/")))
    return Item(
        id=f"{SOURCE}-{stamp.key}",
        path=f"{SOURCE}/{stamp.key}.png",
        captions=stamp_captions(stamp),
        labels=stamp_labels(stamp, names),
        concept=stamp.concept,
        source=SOURCE,
        licence=licence_of(SOURCE),
        metadata={
            "photographic": not drawn and shades(picture) >= PHOTOGRAPHIC,
            "format": kind,
            "stem": stamp.key.rpartition("/")[2],
        },
    )


def _cut_out(stamp: Stamp) -> UInt8[np.ndarray, "h w 3"]:
    """Cut the SVG out, or the PNG where the SVG is no more than letters, for which no fonts are used."""
    for picture in stamp.pictures[:-1]:
        try:
            return cut_out(picture, EDGE)
        except MediaError:
            continue
    return cut_out(stamp.pictures[-1], EDGE)


def stamp_labels(stamp: Stamp, names: Names) -> tuple[str, ...]:
    """Give the labels that a stamp's picture, recordings and sound share."""
    return labels_of(stamp.key, STAMP_FOLDERS, name_of(stamp.sentence["en"]), names)


def stamp_captions(stamp: Stamp) -> tuple[Caption, ...]:
    """Give the English name where there is one, and the sentences."""
    name = name_of(stamp.sentence["en"])
    return (*((Caption(name, "en", "name"),) if name else ()), *stamp.sentences)
