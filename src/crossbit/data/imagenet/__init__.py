"""The 1,000 ImageNet classes with WordNet's synonyms and definitions: what the packaged classifier can name.

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
