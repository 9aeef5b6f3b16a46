"""Which captions say the same, and what training must not say: the names of what is held out."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.wording import normal

TEXT_KINDS = ("name", "sentence")
"""Kinds of caption that name what an item shows; keywords only hint at it."""
HELD = ("test", "val")
"""Splits that must not be seen in training, the one that wins first."""
_MARKS = "PSZ"

Said = tuple[str, str]


def said(caption: Caption) -> Said:
    """Give a caption's language and words, in the form in which two captions say the same: no marks at the ends."""
    if caption.lang == "en":
        return caption.lang, normal(caption.text)
    text = " ".join(unicodedata.normalize("NFKC", caption.text).casefold().split())
    begin, end = 0, len(text)
    while begin < end and unicodedata.category(text[begin])[0] in _MARKS:
        begin += 1
    while begin < end and unicodedata.category(text[end - 1])[0] in _MARKS:
        end -= 1
    return caption.lang, text[begin:end]


def held_names(items: Iterable[Item]) -> set[Said]:
    """Give what the names and sentences of held-out items say; captions that are shared are looked through once."""
    tuples = {id(item.captions): item.captions for item in items if item.split in HELD}
    return {
        words
        for captions in tuples.values()
        for caption in captions
        if caption.kind in TEXT_KINDS and (words := said(caption))[1]
    }


def drop(items: Sequence[Item], held: Container[Said]) -> tuple[list[Item], int]:
    """Drop the captions of training items that say what is held out, and count them.

    The drawings of one emoji share a tuple of captions, and share what is left of it.
    """
    slim: dict[int, tuple[Caption, ...]] = {}
    kept, dropped = [], 0
    for item in items:
        if item.split == "train":
            place = id(item.captions)
            if place not in slim:
                slim[place] = tuple(caption for caption in item.captions if said(caption) not in held)
            if fewer := len(item.captions) - len(slim[place]):
                dropped += fewer
                item = replace(item, captions=slim[place])
        kept.append(item)
    return kept, dropped
