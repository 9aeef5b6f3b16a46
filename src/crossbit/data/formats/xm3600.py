"""Crossmodal-3600: 3,600 pictures from all over the world with captions in 36 languages, none of them translated.

Thapliyal and others, "Crossmodal-3600: A Massively Multilingual Multimodal Evaluation Dataset", EMNLP 2022.
`captions.jsonl` has an object a picture: `image/key`, `image/locale`, and for each language an object whose `caption`
is a list of texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, Shelf, field, lines, need
from crossbit.data.formats.published import Size, check_sizes, mind
from crossbit.data.manifest import Caption, Item, Manifest

_CODES = "ar bn cs da de el en es fa fi fil fr he hi hr hu id it ja ko mi nl no pl pt quz ro ru sv sw te th tr uk vi zh"
LANGUAGES = tuple(_CODES.split())
SIZES = {"test": Size(3_600, 261_375)}


def read(path: Path, notes: Notes, *, counts: bool = True, media: Path | None = None) -> Manifest:
    """Read the captions; all of it is a test set.

    Args:
        path: `captions.jsonl` or its folder.
        notes: takes the problems.
        counts: compare with the published numbers, languages included.
        media: the folder of the pictures; else that of the captions, or `images` in it.
    """
    file = need(path / "captions.jsonl", "the captions, a picture a line") if path.is_dir() else path
    gather = Gather(notes)
    shelf = Shelf(media or file.parent)
    for line, text in lines(file, notes):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            notes.say(file, line, f"not JSON ({error})", "the file is cut or damaged: get it again")
            continue
        key = field(record, "image/key", str, file, line, "the line", notes)
        captions = key and _captions(record, key, gather, file, line)
        if captions:
            locale = record.get("image/locale")
            item = Item(
                id=key,
                path=shelf.path([key], ".jpg"),
                captions=captions,
                split="test",
                metadata={"locale": locale} if isinstance(locale, str) else {},
            )
            gather.add(item, file, line)
    manifest = gather.manifest("xm3600", shelf.root, file)
    check_sizes(manifest, file, notes, SIZES, counts)
    if counts and manifest.items and (missing := sorted(set(LANGUAGES) - set(manifest.languages))):
        what = f"no captions in {', '.join(missing)}, expected {len(LANGUAGES)} languages"
        mind(notes, file, None, what, "get the file again; read a part of the set with counts=false")
    return manifest


def _captions(record: dict[str, Any], key: str, gather: Gather, file: Path, line: int) -> tuple[Caption, ...]:
    found: list[Caption] = []
    for lang, told in record.items():
        if "/" in lang:
            continue
        place = f"picture {key!r}, {lang}"
        texts = field(told, "caption", list, file, line, place, gather.notes)
        found += gather.captions(texts or (), file, line, place, lang)
    if not found:
        gather.notes.say(file, line, f"picture {key!r} has no caption", "correct or remove the line")
    return tuple(found)
