"""What a data set holds, in numbers: by source, language, label and split."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from crossbit.data.manifest import Item, Manifest

SHOWN_AS_PICTURE = ("image", "video")


@dataclass(frozen=True)
class Stats:
    """Counts of a manifest.

    Args:
        parts: (source, modality) to split to items.
        concepts: split to concepts.
        captions: split to captions.
        languages: language to captions, most frequent first.
        labels: label to items, most frequent first.
        licences: licence to items.
        bare: source to items without a caption.
    """

    parts: dict[tuple[str, str], dict[str, int]]
    concepts: dict[str, int]
    captions: dict[str, int]
    languages: dict[str, int]
    labels: dict[str, int]
    licences: dict[str, int]
    bare: dict[str, int]

    @property
    def splits(self) -> tuple[str, ...]:
        """Name the splits, those of training first."""
        order = ("train", "val", "test")
        return tuple(sorted(self.captions, key=lambda name: (order.index(name) if name in order else len(order), name)))


def count(items: Iterable[Item]) -> Stats:
    """Count items as they come; an item without a concept is its own."""
    parts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    concepts: dict[str, set[str]] = defaultdict(set)
    captions: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    bare: Counter[str] = Counter()
    for item in items:
        parts[item.source, item.modality][item.split] += 1
        concepts[item.split].add(item.concept or item.id)
        captions[item.split] += len(item.captions)
        languages.update(caption.lang for caption in item.captions)
        labels.update(item.labels)
        licences[item.licence] += 1
        if not item.captions:
            bare[item.source] += 1
    return Stats(
        {key: dict(found) for key, found in sorted(parts.items())},
        {split: len(found) for split, found in concepts.items()},
        dict(captions),
        _ranked(languages),
        _ranked(labels),
        _ranked(licences),
        dict(bare),
    )


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def sample(manifest: Manifest, each: int, seed: int = 0) -> dict[str, list[Item]]:
    """Draw some pictures and films of each source, in the order of their ids."""
    by_source: dict[str, list[Item]] = defaultdict(list)
    for item in manifest:
        if item.modality in SHOWN_AS_PICTURE:
            by_source[item.source].append(item)
    return {
        source: sorted(random.Random(f"{seed}/{source}").sample(found, min(each, len(found))), key=lambda item: item.id)
        for source, found in sorted(by_source.items())
    }
