"""A learned vocabulary against scikit-learn's TF-IDF, and words that it does not know."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from crossbit.encoders.words import Words
from crossbit.errors import UsageError
from crossbit.nn.vocabulary import Vocabulary
from crossbit.words import split_words, word_number

CAPTIONS = ["a red apple", "a green apple and a pear", "the red car", "a car on a green road", "two pears", "a dog"]


def tokens(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    found = Words().encode(Words().prepare(texts))
    return torch.from_numpy(found.tokens.astype(np.float16)).float(), torch.from_numpy(
        found.mask
    )  # as a cache has them


def test_it_is_the_tf_idf_of_scikit_learn() -> None:
    vocabulary = Vocabulary(50, common=1.0)
    vocabulary.learn(CAPTIONS)
    peer = TfidfVectorizer(tokenizer=split_words, token_pattern=None, lowercase=False).fit(CAPTIONS)
    texts = [*CAPTIONS, "a red pear and a zebra"]
    ours, theirs = vocabulary.tf_idf(*tokens(texts)).numpy(), peer.transform(texts).toarray()
    place = {int(number): at for at, number in enumerate(vocabulary.numbers) if number >= 0}
    columns = [place[word_number(word)] for word in peer.get_feature_names_out()]
    np.testing.assert_allclose(ours[:, columns], theirs, atol=1e-6)
    assert len(place) == len(columns)


def test_the_most_frequent_words_are_known_and_too_common_ones_are_not() -> None:
    vocabulary = Vocabulary(3, common=0.5)
    vocabulary.learn(CAPTIONS)
    known = set(vocabulary.numbers.tolist())
    assert word_number("a") not in known  # in four of six
    assert known == {word_number(word) for word in ("red", "apple", "green", "car")} & known
    assert len(known) == 3


def test_places_are_from_one_on_and_zero_is_unknown_or_padding() -> None:
    vocabulary = Vocabulary(50)
    vocabulary.learn(CAPTIONS)
    places = vocabulary.places(*tokens(["red zebra car", "dog"]))
    assert places[0, 1] == 0
    assert places[1].tolist()[1:] == [0, 0]
    assert min(places[0, 0], places[0, 2], places[1, 0]) > 0
    assert len({int(places[0, 0]), int(places[0, 2]), int(places[1, 0])}) == 3


def test_nothing_known_is_a_zero_vector() -> None:
    assert Vocabulary(5).tf_idf(*tokens(["anything at all"])).abs().sum() == 0


def test_texts_without_words_and_long_ones() -> None:
    found = Words().encode(Words().prepare(["!?", "word " * 200]))
    assert found.mask.sum(1).tolist() == [0, 128]
    with pytest.raises(UsageError, match="text 0: has 200 words"):
        Words().prepare(["word " * 200], on_long_text="error")
    with pytest.raises(UsageError, match="text 0: found a int"):
        Words().prepare([3])


def test_bisection_and_comparison_with_all_words_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary(6)
    vocabulary.learn(CAPTIONS)
    asked = tokens([*CAPTIONS, "a red pear and a red zebra", "dog"])
    bisected = vocabulary.tf_idf(*asked), vocabulary.places(*asked)
    monkeypatch.setattr(torch.jit, "is_tracing", lambda: True)
    compared = vocabulary.tf_idf(*asked), vocabulary.places(*asked)
    assert torch.equal(bisected[0], compared[0])
    assert torch.equal(bisected[1], compared[1])
    assert bisected[0].abs().sum() > 0
