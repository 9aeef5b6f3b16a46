"""The training pairs of a manifest as noise sees them: who owns a caption, and what is related to what."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.noise_text import normal
from crossbit.errors import ManifestError

TRAIN = "train"


@dataclass(frozen=True)
class Pair:
    """One caption of a training item.

    Args:
        item: the item's row among the training items.
        place: which of the item's captions in that language, from 0.
        caption: the caption.
    """

    item: int
    place: int
    caption: Caption


@dataclass(frozen=True)
class TrainPairs:
    """Hold all pairs of a manifest's split "train" in some languages, item after item.

    Args:
        items: the training items.
        pairs: their captions.
        concepts: the concept of each item.
        texts: by concept, every text that is right for it.
        groups: by concept, the labels that make two concepts related.
        subgroups: by concept, the finer ones of them, which stand first for `kin`.
    """

    items: tuple[Item, ...]
    pairs: tuple[Pair, ...]
    concepts: tuple[str, ...]
    texts: Mapping[str, frozenset[str]]
    groups: Mapping[str, frozenset[str]]
    subgroups: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, manifest: Manifest, languages: Iterable[str]) -> TrainPairs:
        """Gather them; a concept has the labels and the texts of all its items.

        Labels that start with `group:` and `subgroup:` say what is related; where no label does, all labels do.

        Raises:
            ManifestError: no item is in split "train", or none of them has a caption in these languages.
        """
        items, wanted = manifest.select(TRAIN).items, set(languages)
        pairs = tuple(
            Pair(row, place, caption)
            for row, item in enumerate(items)
            for place, caption in places(item)
            if caption.lang in wanted
        )
        if not pairs:
            raise ManifestError(f"{manifest.name}: no training caption in {sorted(wanted)}, expected some")
        concepts = tuple(item.concept or item.id for item in items)
        texts, labels = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for concept, item in zip(concepts, items, strict=True):
            labels[concept].update(item.labels)
            texts[concept].update(normal(caption.text) for caption in item.captions if caption.lang in wanted)
        graded = any(label.startswith("group:") for found in labels.values() for label in found)

        def those(kinds: tuple[str, ...]) -> dict[str, frozenset[str]]:
            return {
                concept: frozenset(label for label in labels[concept] if not graded or label.startswith(kinds))
                for concept in labels
            }

        frozen = {concept: frozenset(found) for concept, found in texts.items()}
        return cls(items, pairs, concepts, frozen, those(("group:", "subgroup:")), those(("subgroup:",)))

    def concept(self, pair: int) -> str:
        """Give the concept that a pair's item shows."""
        return self.concepts[self.pairs[pair].item]

    def is_right(self, pair: int, text: str) -> bool:
        """Say whether a text stands for the concept of a pair's item somewhere."""
        return normal(text) in self.texts[self.concept(pair)]

    def related(self, one: str, other: str) -> bool:
        """Say whether two concepts are one, or share a group."""
        return one == other or not self.groups[one].isdisjoint(self.groups[other])

    def kin(self) -> dict[str, str]:
        """Give each concept the label that it shares with its kin: a subgroup if another concept has it, else a group."""
        count = defaultdict[str, int](int)
        for found in self.groups.values():
            for label in found:
                count[label] += 1
        kin = {}
        for concept, found in self.groups.items():
            finest = sorted(found, key=lambda label: (label not in self.subgroups[concept], count[label], label))
            shared = [label for label in finest if count[label] > 1]
            if shared:
                kin[concept] = shared[0]
        return kin


def places(item: Item) -> Iterable[tuple[int, Caption]]:
    """Number an item's captions within their language, so that the numbers hold when other languages are left out."""
    seen: dict[str, int] = {}
    for caption in item.captions:
        place = seen.get(caption.lang, 0)
        seen[caption.lang] = place + 1
        yield place, caption


def train_fingerprint(manifest: Manifest, languages: Iterable[str]) -> str:
    """Hash what noise depends on: ids, concepts, labels and captions of the split "train" in these languages.

    So a data set of which only some languages were read carries the same fingerprint as the whole.
    """
    wanted, digest = set(languages), hashlib.sha256()
    for item in manifest:
        if item.split == TRAIN:
            captions = [[c.lang, c.kind, c.text] for c in item.captions if c.lang in wanted]
            record = [item.id, item.concept or item.id, sorted(item.labels), captions]
            digest.update(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()[:16]
