from __future__ import annotations

import re
from importlib import resources

from crossbit.data.imagenet import imagenet_classes, imagenet_nouns


def test_classes_stand_in_the_order_of_the_classifier() -> None:
    classes = imagenet_classes()
    assert [c.index for c in classes] == list(range(1000))
    # places that every ImageNet classifier shares, read off the published label list
    known = {
        0: "tench",
        1: "goldfish",
        207: "golden retriever",
        281: "tabby",
        285: "Egyptian cat",
        954: "banana",
        999: "toilet tissue",
    }
    assert {index: classes[index].names[0] for index in known} == known


def test_every_class_has_its_synset_names_and_definition() -> None:
    classes = imagenet_classes()
    assert len({c.synset for c in classes}) == 1000
    assert all(re.fullmatch(r"n\d{8}", c.synset) for c in classes)
    assert all(c.names and all(name and name == name.strip() and "," not in name for name in c.names) for c in classes)
    assert all(len(c.definition) > 8 for c in classes)


def test_synsets_tell_homonyms_apart() -> None:
    bird, machine = (c for c in imagenet_classes() if c.names == ("crane",))
    assert "bird" in bird.definition
    assert "lifts" in machine.definition


def test_licence_and_source_go_along() -> None:
    folder = resources.files("crossbit.data.imagenet")
    assert "Princeton University" in folder.joinpath("WORDNET_LICENSE.txt").read_text()
    assert "SHA-256" in folder.joinpath("SOURCE.txt").read_text()


def test_nouns_lead_to_classes() -> None:
    nouns = {noun.synset: noun for noun in imagenet_nouns()}
    classes = imagenet_classes()
    dog = next(noun for noun in nouns.values() if noun.steps == 0 and "dog" in noun.names)
    assert set(dog.classes) == set(range(151, 269))  # all breeds, and no wolf
    cub = next(noun for noun in nouns.values() if noun.names == ("lion cub",))
    assert cub.steps == 1
    assert [classes[index].names[0] for index in cub.classes] == ["lion"]
    assert not {c.synset for c in classes} & set(nouns)
    assert all(noun.names and noun.classes and max(noun.classes) < 1000 for noun in nouns.values())
