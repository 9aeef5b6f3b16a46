"""Counting a data set, by hand."""

from __future__ import annotations

from pathlib import Path

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.stats import count, sample

ITEMS = (
    Item(
        "a", "a", captions=(Caption("x"), Caption("y", "de")), labels=("p", "q"), split="train", concept="1", source="s"
    ),
    Item("b", "b", captions=(Caption("x"),), labels=("p",), split="train", concept="1", source="s", licence="MIT"),
    Item("c", "c", "video", captions=(Caption("x"),), split="test", source="t", licence="MIT"),
    Item("d", "d", "audio", split="extra", source="t"),
)


def test_everything_is_counted() -> None:
    found = count(ITEMS)
    assert found.parts == {
        ("s", "image"): {"train": 2},
        ("t", "audio"): {"extra": 1},
        ("t", "video"): {"test": 1},
    }
    assert found.concepts == {"train": 1, "test": 1, "extra": 1}
    assert found.captions == {"train": 3, "test": 1, "extra": 0}
    assert list(found.languages.items()) == [("en", 3), ("de", 1)]
    assert list(found.labels.items()) == [("p", 2), ("q", 1)]
    assert found.licences == {"": 2, "MIT": 2}
    assert list(found.licences) == ["", "MIT"]
    assert found.bare == {"t": 1}
    assert found.splits == ("train", "test", "extra")


def test_a_sample_is_seeded_and_holds_what_can_be_seen() -> None:
    many = [Item(f"{n:03}", "x", source="s") for n in range(50)]
    manifest = Manifest("m", Path(), (*many, *(item for item in ITEMS if item.source == "t")))
    drawn = sample(manifest, 5)
    assert {source: len(items) for source, items in drawn.items()} == {"s": 5, "t": 1}
    assert [item.id for item in drawn["s"]] == sorted(item.id for item in drawn["s"])
    assert sample(manifest, 5) == drawn
    assert sample(manifest, 5, seed=1) != drawn
