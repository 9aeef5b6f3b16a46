"""Texts without the words of their labels, by hand and as a property."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data.labelled import label_words, labels_of_drawings, strike, with_labels, without_label_words
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError
from crossbit.words import split_words


def manifest() -> Manifest:
    def item(name: str, keywords: str, *labels: str, source: str = "noto") -> Item:
        captions = (Caption(name, "en", "name"), Caption(keywords, "en", "keywords"), Caption("Gesicht", "de", "name"))
        return Item(f"{source}-{name}", f"{name}.png", captions=captions, labels=labels, source=source)

    return Manifest(
        "toy",
        Path("pictures"),
        (
            item("weary face", "face, tired, cat face, weary", "group:smileys", "tag:face"),
            item("hearts", "heart, heart-eyes", "tag:heart"),
            item("one o’clock", "clock, time, one", "tag:o’clock", "subgroup:time"),
            item("face-savouring food", "yum", "subgroup:face-smiling", source="openmoji"),
        ),
    )


def test_the_words_of_tags_are_struck_out() -> None:
    struck, gone = without_label_words(manifest())
    assert struck.name == "toy-struck"
    assert [[caption.text for caption in item.captions] for item in struck] == [
        ["weary", "tired, weary"],  # a keyword that holds the word goes whole
        ["one", "time, one"],  # "time" is a subgroup's word, no tag's
        ["savouring food", "yum"],
    ]
    assert gone == ("noto-hearts",)  # the plural is the word too, and nothing is left
    assert all(caption.lang == "en" for item in struck for caption in item.captions)


def test_no_word_of_a_tag_is_left() -> None:
    words = label_words(manifest())
    assert words == {"face", "heart", "o", "clock"}
    struck, _ = without_label_words(manifest())
    assert not any(words & set(split_words(caption.text)) for item in struck for caption in item.captions)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("flag: France", "France"),
        ("Flags", ""),
        ("A dog on a FLAG.", "A dog on a"),
        ("flagship", "flagship"),
        ("up-down flag", "up-down"),
        ("“flag”", ""),
        ("kisses", ""),
    ],
)
def test_a_text_is_tidy_afterwards(text: str, left: str) -> None:
    assert strike(text, frozenset({"flag", "kiss"})) == left


def test_data_without_labels_are_refused() -> None:
    items = (Item("a", "a.png", captions=(Caption("a", "en"),)),)
    with pytest.raises(ManifestError, match="no item has labels"):
        without_label_words(Manifest("bare", Path("."), items))


def test_labels_come_from_the_same_drawings_of_another_set() -> None:
    labels = labels_of_drawings(manifest())
    assert labels == {"face-savouring food": ("subgroup:face-smiling",)}
    bare = Manifest("bare", Path("."), tuple(Item(i, f"{i}.png") for i in ("face-savouring food", "other")))
    found = with_labels(bare, labels)
    assert [(item.id, item.labels) for item in found] == [("face-savouring food", ("subgroup:face-smiling",))]
    with pytest.raises(ManifestError, match="none of its items"):
        with_labels(bare, {"x": ("y",)})
