"""The leak test on the prepared data itself, where it is in a cache; what it looks for is tested in test_concepts.py."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from crossbit.data.manifest import Manifest
from crossbit.data.picto.assemble import LISTING, VERSION
from crossbit.data.picto.licences import class_of
from data.picto.leaks import leaks, pictures_in_two_splits

# the tests have a cache of their own; what is prepared lies in the user's
_BASE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossbit"
_PLACES = [
    Path(place) / "data" / f"picto-{VERSION}" / LISTING for place in (os.environ.get("CROSSBIT_CACHE"), _BASE) if place
]
_FOUND = next((place for place in _PLACES if place.is_file()), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_FOUND is None, reason="picto is not prepared: run `crossbit data prepare picto`"),
]


@pytest.fixture(scope="module")
def picto() -> Manifest:
    assert _FOUND is not None
    return Manifest.read(_FOUND)


def test_nothing_that_is_tested_is_said_in_training(picto: Manifest) -> None:
    assert list(leaks(picto.items)) == []


def test_no_training_picture_looks_like_a_held_out_one(picto: Manifest) -> None:
    assert list(pictures_in_two_splits(picto.items, picto.root)) == []


def test_both_would_be_found(picto: Manifest) -> None:
    """Move one test concept of a drawing set into training: its names, its emoji and its look give it away."""
    concept = next(item.concept for item in picto if item.source == "fluent-flat" and item.split == "test")
    few = [item for item in picto if item.concept == concept and item.modality == "image"]
    moved = [replace(item, split="train") if item.source == "fluent-flat" else item for item in few]
    assert len(list(leaks(moved))) > 2
    twin = replace(few[0], id="twin", split="train", concept="another")
    assert list(pictures_in_two_splits([*few, twin], picto.root)) != []


def test_the_splits_are_what_they_should_be(picto: Manifest) -> None:
    assert {item.split for item in picto} == {"train", "val", "test"}
    concepts = {item.concept: item.split for item in picto if item.source == "openmoji"}
    shares = {
        split: sum(found == split for found in concepts.values()) / len(concepts) for split in ("train", "val", "test")
    }
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "test": 0.2}, abs=0.005)
    assert all(class_of(item.licence) for item in picto)
    assert all(picto.file(item).is_file() for item in picto)
    assert len({item.concept for item in picto if item.source == "twemoji"}) > 1500
