"""What is looked at in every data set, whatever its format: HTML in captions, splits that overlap, media that are absent."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.losses import place_of
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError

_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")


def overlaps(manifest: Manifest, file: Path, notes: Notes) -> set[str]:
    """Note media files and concepts that lie in two splits: what was trained on would be tested on.

    Gives the ids of the items that had to go to make the splits apart: of two, the one that is trained on.
    """
    faulty: set[str] = set()
    media: dict[tuple[str, ...], Item] = {}
    concepts: dict[str, Item] = {}
    for item in manifest:
        if not item.split:
            continue
        place = (item.path, *map(str, place_of(item).values()))
        for what, name, seen in (
            ("file", item.path, media.setdefault(place, item)),
            ("concept", item.concept, concepts.setdefault(item.concept, item) if item.concept else item),
        ):
            if seen.split != item.split:
                notes.say(
                    *notes.places.get(item.id, (file, None)),
                    f"{what} {name!r} lies in split {seen.split!r} (item {seen.id!r}) and in {item.split!r} (item {item.id!r})",
                    "keep it in one split",
                )
                faulty.add((seen if seen.split == "train" else item).id)
    return faulty


def entities(manifest: Manifest, file: Path, notes: Notes) -> None:
    """Note captions in which characters are written as HTML."""
    for item in manifest:
        for place, caption in enumerate(item.captions):
            found = _ENTITY.search(caption.text)
            if found and html.unescape(found[0]) != found[0]:
                notes.say(
                    *notes.places.get(item.id, (file, None)),
                    f"item {item.id!r}: caption {place} holds the HTML {found[0]!r}, expected {html.unescape(found[0])!r}",
                    "read or convert it with --unescape",
                )


def unescaped(manifest: Manifest) -> Manifest:
    """Write what is HTML in the captions as characters."""
    items = tuple(
        replace(item, captions=tuple(replace(c, text=html.unescape(c.text)) for c in item.captions))
        for item in manifest
    )
    return replace(manifest, items=items)


def absent(manifest: Manifest, file: Path, notes: Notes) -> None:
    """Note media that are listed and not there, or that lie outside the folder."""
    seen: dict[str, str] = {}
    for item in manifest:
        try:
            path = manifest.file(item)
        except ManifestError as error:
            where = notes.places.get(item.id, (file, None))
            notes.say(*where, error.message, "keep media below the folder that the list is read with")
            continue
        if item.path not in seen:
            seen[item.path] = _fault(path)
        if seen[item.path]:
            notes.say(
                *notes.places.get(item.id, (file, None)),
                f"item {item.id!r}: {item.path} is listed, and {seen[item.path]} below {manifest.root}",
                "get the file, or name the folder of the media with --media",
            )


def _fault(path: Path) -> str:
    if not path.is_file():
        return "there is no such file"
    return "" if path.stat().st_size else "the file is empty (0 bytes)"
