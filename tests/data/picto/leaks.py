"""Look for what of val and test stands in training too, by ways of its own: nothing of concepts.py or likeness.py is used."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from crossbit.data.manifest import Caption, Item

HELD = ("val", "test")
MADE = ("events", "scenes")
"""Sources that are made of others; their concept names all that is shown."""
CORRELATION, PIXEL = 0.99, 0.2
"""Two pictures are one when they correlate so much and no pixel of 24 x 24 differs by more."""
_EDGE = 24
_BLOCK = 512


def plain(caption: Caption) -> str:
    """Small letters, no marks at the ends, no English articles."""
    text = " ".join(caption.text.casefold().split()).strip(" .!?“”„\"'。")
    return re.sub(r"^(a|an|the) ", "", text) if caption.lang == "en" else text


def leaks(items: Sequence[Item]) -> Iterator[str]:
    """Give a sentence for whatever tells a model in training of something that it is tested on."""
    yield from _concepts(items)
    yield from _captions(items)
    yield from _words(items)
    yield from _members(items)


def _concepts(items: Iterable[Item]) -> Iterator[str]:
    for what, key in (("concept", lambda item: item.concept), ("emoji", lambda item: item.metadata.get("emoji"))):
        found = defaultdict(set)
        for item in items:
            if key(item):
                found[key(item)].add(item.split)
        yield from (f"{what} {name} lies in {sorted(splits)}" for name, splits in found.items() if len(splits) > 1)


def _captions(items: Iterable[Item]) -> Iterator[str]:
    held = {
        (caption.lang, plain(caption))
        for item in items
        if item.split in HELD
        for caption in item.captions
        if caption.kind in ("name", "sentence")
    }
    for item in items:
        for caption in item.captions:
            if item.split == "train" and (caption.lang, plain(caption)) in held:
                yield f"training item {item.id} says {caption.text!r} in {caption.lang}, the name of a held-out item"


def _words(items: Iterable[Item]) -> Iterator[str]:
    names = {
        plain(caption)
        for item in items
        if item.split in HELD and item.concept.startswith("emoji:") and "emoji" in item.metadata
        for caption in item.captions
        if (caption.lang, caption.kind) == ("en", "name")
    }
    if not names:
        return
    pattern = re.compile(
        r"(?<!\w)(" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + r")(?!\w)"
    )
    for item in items:
        if item.split != "train" or item.concept.startswith("emoji:") or item.source in MADE:
            continue
        for caption in item.captions:
            if (
                caption.lang == "en"
                and caption.kind in ("name", "sentence")
                and (found := pattern.search(caption.text.casefold()))
            ):
                yield f"training item {item.id} says {caption.text!r}, which holds the held-out name {found[0]!r}"


def _members(items: Iterable[Item]) -> Iterator[str]:
    split_of = {item.concept: item.split for item in items if item.source not in MADE}
    for item in items:
        for concept in item.concept.split("+") if item.source in MADE else ():
            if split_of.get(concept) != item.split:
                yield f"{item.id} of {item.split} shows {concept} of {split_of.get(concept)}"


def pictures_in_two_splits(items: Sequence[Item], root: Path) -> Iterator[str]:
    """Compare every training picture with every held-out one, and the mirror image of it."""
    pictures = [item for item in items if item.modality == "image" and item.source not in MADE]
    digests = defaultdict(set)
    for item in pictures:
        digests[hashlib.sha256((root / item.path).read_bytes()).hexdigest()].add(item.split)
    yield from (
        f"the file {digest[:8]} lies in {sorted(splits)}" for digest, splits in digests.items() if len(splits) > 1
    )
    small = np.stack([_small(root / item.path) for item in pictures])
    unit = small.reshape(len(small), -1).astype(np.float32)
    unit -= unit.mean(axis=1, keepdims=True)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    flipped = unit.reshape(-1, _EDGE, _EDGE, 3)[:, :, ::-1].reshape(len(unit), -1)
    split = np.array([item.split for item in pictures])
    train, held = np.flatnonzero(split == "train"), np.flatnonzero(split != "train")
    for begin in range(0, len(train), _BLOCK):
        rows = train[begin : begin + _BLOCK]
        for twin, flip in ((unit, False), (flipped, True)):
            near = np.argwhere(unit[rows] @ twin[held].T >= CORRELATION)
            for one, other in ((rows[a], held[b]) for a, b in near):
                image = small[other][:, ::-1] if flip else small[other]
                if np.abs(small[one].astype(int) - image).max() <= 255 * PIXEL:
                    yield f"{pictures[one].id} of train looks like {pictures[other].id} of {split[other]}"


def _small(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        ink = picture.convert("L").point(lambda value: 255 * (value < 245)).getbbox()
        # by hand: an independent way to the same 24 x 24 pixels
        picture = picture.crop(ink) if ink else picture
        edge = max(picture.size)
        square = Image.new("RGB", (edge, edge), "white")
        square.paste(picture, ((edge - picture.width) // 2, (edge - picture.height) // 2))
        return np.asarray(square.resize((_EDGE, _EDGE), Image.Resampling.BOX))
