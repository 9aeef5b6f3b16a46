"""Texts without the words of the labels: what a benchmark needs in which a common label makes two items relevant.

The frequent tags of picto are English keywords, and so they stand in the captions too: "weary face" has the label `tag:face`.
A method that counts words would read the label off the text. Here every English caption loses the words that a tag consists of,
singular or plural; of a list of keywords, each keyword that holds one. Names of groups and subgroups ("face-smiling") are
categories that people made up beside the names, so their words stay unless a tag has them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError
from crossbit.words import split_words

PREFIX = "tag:"
LANGUAGE = "en"
_WORD = re.compile(r"[^\W_]+")


def label_words(manifest: Manifest) -> frozenset[str]:
    """Give the words that the tags of a manifest consist of."""
    tags = {label.removeprefix(PREFIX) for item in manifest for label in item.labels if label.startswith(PREFIX)}
    return frozenset(word for tag in tags for word in split_words(tag))


def without_label_words(manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
    """Strike the words of the tags out of the English captions; leave captions in other languages out.

    A caption of which nothing is left goes, and an item whose captions all go.

    Returns:
        The manifest, named with `-struck`, and the ids of the items that are left out.

    Raises:
        ManifestError: no item has labels.
    """
    if not any(item.labels for item in manifest):
        raise ManifestError(f"{manifest.name}: no item has labels, expected some whose words are struck out")
    words = label_words(manifest)
    kept, gone = [], []
    for item in manifest:
        captions = tuple(_struck(item.captions, words))
        if captions:
            kept.append(replace(item, captions=captions))
        else:
            gone.append(item.id)
    return Manifest(f"{manifest.name}-struck", manifest.root, tuple(kept)), tuple(gone)


def with_labels(manifest: Manifest, labels: Mapping[str, tuple[str, ...]]) -> Manifest:
    """Give items their labels by id; those without any are left out.

    Raises:
        ManifestError: none has labels.
    """
    items = tuple(replace(item, labels=labels[item.id]) for item in manifest if labels.get(item.id))
    if not items:
        raise ManifestError(f"{manifest.name}: none of its items is among {len(labels)} with labels")
    return Manifest(f"{manifest.name}-labelled", manifest.root, items)


def labels_of_drawings(items: Iterable[Item]) -> dict[str, tuple[str, ...]]:
    """Give the labels that picto has for each drawing of OpenMoji, by the drawing's own name (`1f34e`)."""
    return {item.id.removeprefix("openmoji-"): item.labels for item in items if item.source == "openmoji"}


def strike(text: str, words: frozenset[str]) -> str:
    """Take words out of a text, singular or plural, and tidy what is left."""
    left = _WORD.sub(lambda found: "" if _is_one(found[0], words) else found[0], text)
    left = re.sub(r"[’'](?=\W|$)|(?<!\w)[’']", " ", left)  # of "o’clock" only the mark would be left
    tidy = " ".join(left.split()).strip(' ,;:-–—&.!?"“”()')
    return tidy if _WORD.search(tidy) else ""


def _struck(captions: Iterable[Caption], words: frozenset[str]) -> Iterable[Caption]:
    for caption in captions:
        if caption.lang != LANGUAGE:
            continue
        if caption.kind == "keywords":
            parts = [part for part in caption.text.split(", ") if not any(_is_one(w, words) for w in split_words(part))]
            text = ", ".join(parts)
        else:
            text = strike(caption.text, words)
        if text:
            yield replace(caption, text=text)


def _is_one(word: str, words: frozenset[str]) -> bool:
    folded = word.casefold()
    return any(form in words for form in (folded, folded.removesuffix("s"), folded.removesuffix("es")))
