"""What auxiliary tasks ask of pairs: another caption of the same item, labels from frequent words; rows chosen of others."""

from __future__ import annotations

import numpy as np

from crossbit.data.loader import Chosen, Pairs, RowsInMemory
from crossbit.features import Features

TEXTS = ("a red apple", "an apple", "a dog runs", "ein Hund", "a dog runs", "dog", "the moon")
LANGUAGES = ("en", "en", "en", "de", "en", "en", "en")
OWNERS = np.array([0, 0, 1, 1, 1, 1, 2])


def pairs(**changes: bool) -> Pairs:
    tokens = np.arange(7, dtype=np.float32)[:, None, None].repeat(2, 1)
    captions = Features("text", tokens, np.ones((7, 2), bool), tokens[:, 0])
    items = Features("image", np.zeros((3, 1, 1), np.float32), np.ones((3, 1), bool), np.zeros((3, 1), np.float32))
    return Pairs(
        RowsInMemory(items), RowsInMemory(captions), OWNERS, np.arange(3), list(TEXTS), list(LANGUAGES), **changes
    )


def test_a_positive_is_another_text_of_the_item_in_its_language() -> None:
    batch = pairs(positives=True).batch(np.arange(7))
    found = batch["positive"]
    # the German caption has no other in its language, "the moon" no other at all; equal texts are passed over
    assert found.mask.any(1).tolist() == [True, True, True, False, True, True, False]
    assert found.tokens[:3, 0, 0].tolist() == [1.0, 0.0, 5.0]
    assert found.tokens[4:6, 0, 0].tolist() == [5.0, 2.0]
    assert "positive" not in pairs().batch(np.arange(3))


def test_labels_are_the_frequent_words_of_an_items_captions() -> None:
    labelled = pairs().with_word_labels(3)
    # "dog" stands in 3 of 7, "apple" and "runs" in 2; "the" is no content word, "a" has one letter
    assert labelled.label_names == ("dog", "apple", "runs")
    assert labelled.labels is not None
    assert labelled.labels.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]


def test_words_of_more_than_half_of_the_captions_are_no_labels() -> None:
    few = pairs()
    few = Pairs(few.items, few.captions, few.item_of, few.concept_of, ["dog"] * 4 + ["cat"] * 3, few.languages)
    assert few.with_word_labels(5).label_names == ("cat",)


def test_chosen_rows_are_those_rows() -> None:
    some = Chosen(pairs().captions, np.array([4, 1]))
    assert len(some) == 2
    assert some.pooled[:, 0].tolist() == [4.0, 1.0]
    assert some.take(np.array([1])).tokens[0, 0, 0] == 1.0
