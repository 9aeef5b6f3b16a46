"""The 1,000 ImageNet classes with WordNet's synonyms and definitions, and the nouns around them: what the classifier can name.

Text only, and small; the pictures of ImageNet are neither here nor needed. Origin and licence stand beside the table.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class ImageNetClass:
    """One class: its place in the classifier's output, its WordNet synset, its names and what they mean.

    Two classes may share a name: there are two cranes, the bird and the machine.
    """

    index: int
    synset: str
    names: tuple[str, ...]
    definition: str


@cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Give the classes of ILSVRC 2012 in the order of a classifier's outputs.

    Source: WordNet 3.0, through the text files of timm (tools/make_imagenet_classes.py).
    """
    text = resources.files(__package__).joinpath("classes.csv").read_text(encoding="utf-8")
    return tuple(
        ImageNetClass(int(row["index"]), row["synset"], tuple(row["names"].split("|")), row["definition"])
        for row in csv.DictReader(text.splitlines())
    )


@dataclass(frozen=True)
class ImageNetNoun:
    """A noun that is no class: its synset, names, and the classes that it means (`steps` 0) or stands nearest to.

    "dog" means all breeds; "wolf pup" stands one step from the four wolves.
    """

    synset: str
    names: tuple[str, ...]
    steps: int
    classes: tuple[int, ...]


@cache
def imagenet_nouns() -> tuple[ImageNetNoun, ...]:
    """Give nouns of things that can be seen, at most two steps from a class in WordNet's tree.

    Source: WordNet 3.0, through Debian's wordnet-base (tools/make_imagenet_nouns.py).
    """
    text = resources.files(__package__).joinpath("nouns.csv").read_text(encoding="utf-8")
    return tuple(
        ImageNetNoun(
            row["synset"],
            tuple(row["names"].split("|")),
            int(row["steps"]),
            tuple(int(index) for index in row["classes"].split()),
        )
        for row in csv.DictReader(text.splitlines())
    )
