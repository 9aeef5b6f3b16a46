"""Protocols: who asks, who is searched, and what counts as relevant, as named objects with a fingerprint.

Two numbers can be compared only where data, split and protocol agree, so every result carries the fingerprints of all three.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

import numpy as np

from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ConfigError, ManifestError
from crossbit.evaluation.annotated import Told, captions_of_images, images_of_captions
from crossbit.metrics.hashing import WithoutRelevant
from crossbit.metrics.relevance import Relevance, Relevant, SharedLabels

Family = Literal["recall", "hashing"]

_RULES = 1  # rises when the rules below change in a way that moves numbers


@dataclass(frozen=True)
class Protocol:
    """Say how a split of a manifest is turned into questions.

    Args:
        name: what it is called.
        family: which measures are taken: R@K and ranks, or MAP and Hamming radii.
        relevant: an item answers a caption where it is its own item, an item of the same concept, shares a label, or where
            annotators say so, who may have asked some items and captions only.
        gallery: what is searched: the asking split itself, or all other splits (the database of the hashing literature).
        captions_per_item: keep that many first captions of an item in each language; 0 keeps all.
        folds: cut the split into so many folds and give the mean over them.
        fold_items: items of a fold, in the manifest's order.
        without_relevant: what to do with queries that nothing answers.
        about: the protocol in a sentence; not part of the fingerprint.
    """

    name: str
    family: Family = "recall"
    relevant: Literal["item", "concept", "label", "annotated"] = "item"
    gallery: Literal["split", "rest"] = "split"
    captions_per_item: int = 0
    folds: int = 1
    fold_items: int = 0
    without_relevant: WithoutRelevant = "drop"
    about: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Hash the rules; a result made by other rules carries another fingerprint."""
        rules = {**asdict(self), "rules": _RULES, "ties": "expected"}
        del rules["about"], rules["name"]
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]

    def plan(self, manifest: Manifest, split: str, languages: Iterable[str] | None = None) -> Plan:
        """Write down the questions of a split, each language apart.

        Raises:
            ManifestError: the split or a language does not exist, or the split is too small for the folds.
        """
        asking = manifest.select(split, languages)
        spoken = tuple(languages) if languages is not None else asking.languages
        if not spoken:
            raise ManifestError(f"{manifest.name}: split {split!r} has no captions, expected some to ask with")
        rest: tuple[Item, ...] = ()
        if self.gallery == "rest":
            rest = tuple(item for item in manifest.select(languages=languages) if item.split != split)
            if not rest:
                raise ManifestError(f"{manifest.name}: all items are in split {split!r}, expected others to search")
        items = (*asking.items, *rest)
        for item in items:
            if item.modality != "image":
                raise ManifestError(f"{manifest.name}: item {item.id!r} is {item.modality}, expected images")
        texts = _Texts()
        groups = self._folds(len(asking.items), f"{manifest.name}, split {split!r}")
        cases = []
        for language in spoken:
            for asked in groups:
                searched = asked if self.gallery == "split" else np.arange(len(asking.items), len(items))
                cases.append(self._case(language, items, asked, searched, texts))
        return Plan(self, items, tuple(texts.rows), tuple(cases))

    def _folds(self, count: int, where: str) -> list[np.ndarray]:
        if self.folds == 1 and not self.fold_items:
            return [np.arange(count)]
        size = self.fold_items or count // self.folds
        if size < 1 or self.folds * size > count:
            raise ManifestError(
                f"{where}: {count} items, protocol {self.name!r} needs {self.folds} folds of {size}",
                "give the protocol another number of folds or of items in a fold",
            )
        return [np.arange(fold * size, (fold + 1) * size) for fold in range(self.folds)]

    def _case(
        self, language: str, items: Sequence[Item], asked: np.ndarray, searched: np.ndarray, texts: _Texts
    ) -> Case:
        asked_texts, asked_told = self._captions(language, items, asked, texts)
        found_texts, found_told = asked_texts, asked_told
        if self.gallery == "rest":
            found_texts, found_told = self._captions(language, items, searched, texts)
        asked_owner = np.array([row for row, _ in asked_told], np.int64)
        if self.relevant == "annotated":
            image_to_text: Relevance = captions_of_images(items, asked, found_told)
            text_to_image: Relevance = images_of_captions(items, asked_told, searched)
        else:
            image_to_text = self._relevance(items, asked, np.array([row for row, _ in found_told], np.int64))
            text_to_image = self._relevance(items, asked_owner, searched)
        return Case(
            language=language,
            images=asked,
            texts=asked_texts,
            text_item=asked_owner,
            image_gallery=searched,
            text_gallery=found_texts,
            image_to_text=image_to_text,
            text_to_image=text_to_image,
            one_relation=self.relevant != "annotated",
        )

    def _captions(
        self, language: str, items: Sequence[Item], rows: np.ndarray, texts: _Texts
    ) -> tuple[np.ndarray, Told]:
        numbers, told = [], []
        for row in rows:
            spoken = [(place, c.text) for place, c in enumerate(items[row].captions) if c.lang == language]
            for place, text in spoken[: self.captions_per_item or None]:
                numbers.append(texts.row(text))
                told.append((int(row), place))
        return np.array(numbers, np.int64), told

    def _relevance(self, items: Sequence[Item], asking: np.ndarray, searched: np.ndarray) -> Relevance:
        if self.relevant == "item":
            return Relevant.from_keys(asking, searched)
        if self.relevant == "concept":
            keys = np.array([item.concept or item.id for item in items])
            return Relevant.from_keys(keys[asking], keys[searched])
        table = _label_table(items)
        return SharedLabels(table[asking], table[searched])


@dataclass(frozen=True)
class Case:
    """One language of one fold, as row numbers into the plan's items and texts.

    Args:
        language: of the captions.
        images: the items whose pictures ask.
        texts: the texts that ask.
        text_item: the item of each asking text.
        image_gallery: the items whose pictures are searched.
        text_gallery: the texts that are searched.
        image_to_text: which searched texts are relevant to each asking picture.
        text_to_image: which searched pictures are relevant to each asking text.
        one_relation: whether a text is relevant to a picture just where the picture is relevant to the text.
    """

    language: str
    images: np.ndarray
    texts: np.ndarray
    text_item: np.ndarray
    image_gallery: np.ndarray
    text_gallery: np.ndarray
    image_to_text: Relevance
    text_to_image: Relevance
    one_relation: bool = True

    @property
    def mirrors(self) -> bool:
        """Say whether both directions compare the same pairs and call the same of them relevant."""
        return self.one_relation and self.images is self.image_gallery and self.texts is self.text_gallery


@dataclass(frozen=True)
class Plan:
    """Hold what has to be encoded, every picture and every different text once, and the cases that compare them."""

    protocol: Protocol
    items: tuple[Item, ...]
    texts: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Name the languages, in the order asked for."""
        return tuple(dict.fromkeys(case.language for case in self.cases))


class _Texts:
    """Gives every different text one row, so that two items with one name get the very same embedding and tie."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def row(self, text: str) -> int:
        return self.rows.setdefault(text, len(self.rows))


def _label_table(items: Sequence[Item]) -> np.ndarray:
    names = {name: column for column, name in enumerate(sorted({label for item in items for label in item.labels}))}
    if not names:
        raise ManifestError("no item has labels, but the protocol calls items with a common label relevant")
    table = np.zeros((len(items), len(names)), bool)
    for row, item in enumerate(items):
        table[row, [names[label] for label in item.labels]] = True
    return table


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "concept-retrieval",
            about="Pictures and captions of one split search each other, each language apart; the own item is relevant.",
        ),
        Protocol(
            "same-concept",
            relevant="concept",
            about="As concept-retrieval, but every picture of the same concept is relevant.",
        ),
        Protocol(
            "coco-5k",
            captions_per_item=5,
            about="The whole split at once, the first five captions of each picture.",
        ),
        Protocol(
            "coco-1k-folds",
            captions_per_item=5,
            folds=5,
            fold_items=1000,
            about="Mean over five folds of 1,000 consecutive pictures, the first five captions of each.",
        ),
        Protocol(
            "annotated",
            relevant="annotated",
            captions_per_item=5,
            about="As coco-5k, but relevant is what annotators said (ECCV Caption, CxC), about those whom they asked.",
        ),
        Protocol(
            "hashing",
            family="hashing",
            relevant="label",
            gallery="rest",
            captions_per_item=1,
            about="The split asks, all other splits are searched; items that share a label are relevant.",
        ),
    )
}


def protocol_of(name: str | Protocol, **changes: int | str) -> Protocol:
    """Give a protocol by name, with some of its rules changed (which changes its fingerprint).

    Raises:
        ConfigError: there is no such protocol or rule.
    """
    if isinstance(name, str):
        if name not in PROTOCOLS:
            near = get_close_matches(name, PROTOCOLS, 1)
            raise ConfigError(
                f"no protocol {name!r}, there are {sorted(PROTOCOLS)}", f"did you mean {near[0]!r}?" if near else ""
            )
        name = PROTOCOLS[name]
    if unknown := set(changes) - set(Protocol.__dataclass_fields__):
        raise ConfigError(f"protocol {name.name!r} has no rule {min(unknown)!r}")
    return replace(name, **changes) if changes else name  # type: ignore[arg-type]
