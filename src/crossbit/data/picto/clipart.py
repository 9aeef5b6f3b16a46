"""Clip art: the Open Clip Art Library of 2005, 8,121 drawings, of which those are kept that written rules find sound.

What is left out, each with its reason in the quarantine: copies, icon themes and gradients, titles that name nothing or are no
English (`cliprules.py`); what cannot be drawn within `TIMEOUT_S`, is empty on white, hardly there, or longer than `MAX_ASPECT`
times its height; pictures that equal another one pixel by pixel; what is not in the public domain or not for everybody's eyes.

Captions are English: the title (kind `name`), the keywords and, where it is sane, the description (kind `sentence`). A drawing
is cut down to its ink and drawn at 224 pixels, the edge of the emoji drawings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.cliprules import (
    Flags,
    Lexicon,
    clean_keywords,
    collections_in,
    english_words,
    for_all_eyes,
    name_in,
    sane_description,
)
from crossbit.data.picto.cliptext import Facts, NotReadable, read_facts
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.folders import CLIPART_FOLDERS, labels_of
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names
from crossbit.data.picto.packages import unpacked
from crossbit.data.picto.part import Part, Quarantined
from crossbit.errors import ManifestError, MediaError
from crossbit.media.image import load_image
from crossbit.media.ink import WHITE, cut_out
from crossbit.media.write import write_png

SOURCE = "clipart"
ROOT = Path("usr/share/openclipart/svg")
"""Of the drawings in the Debian package."""
EDGE = 224
TIMEOUT_S = 10.0
MAX_ASPECT = 8.0
LEAST_INK = 0.005
"""Share of the cut-out picture that is not white, below which it is hardly there."""


@dataclass(frozen=True)
class _Drawing:
    """One file, the paths of all its copies, and what it says of itself."""

    file: Path
    paths: tuple[str, ...]
    facts: Facts
    name: str = ""

    @property
    def key(self) -> str:
        return self.paths[0].removesuffix(".svg")


def build(folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Draw the clip art that is kept below `folder`; drawings that lie there are kept.

    Args:
        folder: of the prepared data.
        names: whose words tell English from other languages, and whose groups the labels are.
        progress: show a bar.
        workers: so many drawings are made at a time, each in a process of its own.

    Raises:
        ManifestError: the package cannot be had, or holds no drawings.
    """
    return build_from(unpacked("clipart", progress=progress) / ROOT, folder, names, progress=progress, workers=workers)


def build_from(root: Path, folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Do the same from a tree of SVGs."""
    found, quarantine = _read(root)
    drawings, unnamed = _named(found, names)
    quarantine += unnamed
    outcomes = in_parallel(lambda drawing: _draw(drawing, folder), drawings, "draw clip art", progress, workers)
    items: list[Item] = []
    pictures: set[str] = set()
    for drawing, (picture, reason) in zip(drawings, outcomes, strict=True):
        if not reason and picture in pictures:
            reason = "the same picture as another"
        if reason:
            quarantine.append(Quarantined(SOURCE, drawing.key, reason))
        else:
            pictures.add(picture)
            items.append(_item(drawing, names))
    return Part(tuple(items), tuple(quarantine))


def _read(root: Path) -> tuple[list[_Drawing], list[Quarantined]]:
    """List the drawings, copies under the first of their paths, and read what they say of themselves."""
    copies: dict[str, list[Path]] = {}
    # links come last, so that a copy lies where the file itself does
    for file in sorted(root.rglob("*.svg"), key=lambda file: (file.is_symlink(), file)):
        copies.setdefault(hashlib.sha256(file.read_bytes()).hexdigest(), []).append(file)
    if not copies:
        raise ManifestError(f"{root}: no *.svg, expected clip art", "delete the unpacked folder and prepare again")
    drawings, quarantine = [], []
    for files in copies.values():
        paths = tuple(file.relative_to(root).as_posix() for file in files)
        quarantine += [Quarantined(SOURCE, path.removesuffix(".svg"), "a copy of another file") for path in paths[1:]]
        try:
            drawings.append(_Drawing(files[0], paths, read_facts(files[0].read_bytes())))
        except NotReadable as error:
            quarantine.append(Quarantined(SOURCE, paths[0].removesuffix(".svg"), f"cannot be read: {error}"))
    return drawings, quarantine


def _named(drawings: list[_Drawing], names: Names) -> tuple[list[_Drawing], list[Quarantined]]:
    """Keep the drawings whose title is a name in English."""
    collections = collections_in(drawing.facts.title for drawing in drawings)
    lexicon = Lexicon(names, english_words(drawing.facts for drawing in drawings))
    flags = Flags(names)
    kept, quarantine = [], []
    for drawing in drawings:
        facts = drawing.facts
        name, reason = name_in(facts.title, drawing.paths[0], collections)
        if not reason and lexicon.foreign(name, facts.author):
            reason = "its title is no English"
        elif any("/GPL" in licence for licence in facts.licences):
            reason = "not in the public domain"
        elif not for_all_eyes((facts.title, *facts.keywords)):
            reason = "not for everybody's eyes"
        if reason:
            quarantine.append(Quarantined(SOURCE, drawing.key, reason))
        else:
            kept.append(_Drawing(drawing.file, drawing.paths, facts, flags.name(name, drawing.paths[0])))
    return kept, quarantine


def _draw(drawing: _Drawing, folder: Path) -> tuple[str, str]:
    """Draw one picture unless it lies there; give its hash, and what is wrong with it."""
    target = folder / SOURCE / f"{drawing.key}.png"
    try:
        if target.is_file():
            picture = load_image(target)
        else:
            picture = cut_out(drawing.file, EDGE, timeout_s=TIMEOUT_S)
            long, short = max(picture.shape[:2]), min(picture.shape[:2])
            if long > MAX_ASPECT * short:
                return "", f"longer than {MAX_ASPECT:g} times its height, or higher"
            if np.mean(np.any(picture < WHITE, axis=2)) < LEAST_INK:
                return "", "hardly there"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_png(picture, target)
    except MediaError as error:
        reason = error.message.removeprefix(f"{drawing.file}: ").removeprefix("picture: ")
        return "", reason.partition(" (")[0]  # so that the renderer's remarks do not part what is one reason
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest(), ""


def _item(drawing: _Drawing, names: Names) -> Item:
    facts, name = drawing.facts, drawing.name
    return Item(
        id=f"{SOURCE}-{drawing.key}",
        path=f"{SOURCE}/{drawing.key}.png",
        captions=tuple(_captions(facts, name)),
        labels=tuple(
            dict.fromkeys(label for path in drawing.paths for label in labels_of(path, CLIPART_FOLDERS, name, names))
        ),
        concept=f"clipart:{name.casefold()}",
        source=SOURCE,
        licence=licence_of(SOURCE),
        metadata={"folder": drawing.key.rpartition("/")[0], **({"author": facts.author} if facts.author else {})},
    )


def _captions(facts: Facts, name: str) -> Iterator[Caption]:
    yield Caption(name, "en", "name")
    if keywords := clean_keywords(facts.keywords, name):
        yield Caption(", ".join(keywords), "en", "keywords")
    if description := sane_description(facts.description, name, facts.title):
        yield Caption(description, "en", "sentence")
