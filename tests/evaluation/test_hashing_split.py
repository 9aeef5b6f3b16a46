"""The three sets of a hashing comparison, their file and their fingerprint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError
from crossbit.evaluation.hashing_split import HashingSplit


def manifest() -> Manifest:
    splits = ["test", "train", "val", "train", "test"]
    items = tuple(
        Item(
            f"i{n}", f"i{n}.png", captions=(Caption("a b", "en"),), labels=(f"l{n % 2}",), split=split, concept=f"c{n}"
        )
        for n, split in enumerate(splits)
    )
    return Manifest("toy", Path("pictures"), items)


def test_queries_stand_outside_of_the_database_and_training_inside() -> None:
    found = HashingSplit.of(manifest())
    assert (found.query, found.retrieval, found.training) == (("i0", "i4"), ("i1", "i2", "i3"), ("i1", "i3"))
    assert found.labels == ("l0", "l1")
    assert found.data_fingerprint == manifest().fingerprint


def test_a_file_gives_the_same_sets(tmp_path: Path) -> None:
    found = HashingSplit.of(manifest())
    found.write(tmp_path / "split.json")
    assert HashingSplit.read(tmp_path / "split.json") == found
    assert HashingSplit.read(tmp_path / "split.json").fingerprint == found.fingerprint


def test_the_fingerprint_follows_labels_and_sets() -> None:
    plain = HashingSplit.of(manifest())
    marks = {plain.fingerprint}
    items = manifest().items
    moved = replace(manifest(), items=(*items[:4], replace(items[4], split="train")))
    renamed = replace(manifest(), items=(*items[:4], replace(items[4], labels=("l7",))))
    marks |= {HashingSplit.of(other).fingerprint for other in (moved, renamed)}
    assert len(marks) == 3


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    HashingSplit.of(manifest()).write(path)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "training": ["i1"]}))
    with pytest.raises(ManifestError, match="changed after it was written"):
        HashingSplit.read(path)
    for text in ("[1]", "{}", "no JSON", json.dumps({**record, "more": 1})):
        path.write_text(text)
        with pytest.raises(ManifestError, match="no hashing split"):
            HashingSplit.read(path)
    with pytest.raises(ManifestError, match="cannot be read"):
        HashingSplit.read(tmp_path / "nothing.json")


def test_sets_that_overlap_are_named() -> None:
    plain = HashingSplit.of(manifest())
    with pytest.raises(ManifestError, match="'i1' asks and is searched"):
        replace(plain, query=("i1",))
    with pytest.raises(ManifestError, match="'i0' is learned from and not searched"):
        replace(plain, training=("i0",))
    items = manifest().items
    leaky = replace(manifest(), items=(*items[:4], replace(items[4], concept="c1")))
    with pytest.raises(ManifestError, match="concept 'c1' asks and is searched"):
        HashingSplit.of(leaky)
    with pytest.raises(ManifestError, match="no query items"):
        HashingSplit.of(manifest(), query="nobody")
