"""Captions made half wrong: worked by hand, and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.data.noise_text import exchange_head, half, head, pieces


@pytest.mark.parametrize(
    ("text", "other", "lang", "kind", "front", "becomes"),
    [
        ("red apple", "fire engine", "en", "name", True, "red engine"),
        ("red apple", "fire engine", "en", "name", False, "fire apple"),
        ("a duck swims in water", "the car is new", "en", "sentence", True, "a duck swims is new"),
        ("apple", "car", "en", "name", True, "apple car"),
        ("apple", "car", "en", "name", False, "car apple"),
        ("apple, fruit, red", "car, vehicle", "en", "keywords", True, "apple, fruit, vehicle"),
        ("تفاحة، فاكهة", "سيارة، مركبة", "ar", "keywords", True, "تفاحة, مركبة"),
        ("快退按钮", "护照", "zh", "name", True, "快退照"),
        ("猫", "车", "ja", "name", True, "猫车"),
        ("빨리 감기", "붉은 사과", "ko", "name", False, "붉은 감기"),
    ],
)
def test_half_by_hand(text: str, other: str, lang: str, kind: str, front: bool, becomes: str) -> None:
    assert half(text, other, lang=lang, kind=kind, front=front) == becomes


WORDS = st.lists(st.sampled_from(["a", "bee", "sea", "dee"]), min_size=1, max_size=7)


@given(WORDS, WORDS, st.booleans())
def test_half_of_the_words_stays(own: list[str], other: list[str], front: bool) -> None:
    strange = [word.upper() for word in other]  # so that it can be told where a word came from
    mixed = half(" ".join(own), " ".join(strange), lang="en", kind="name", front=front).split()
    kept = [word for word in mixed if word.islower()]
    assert len(kept) == (len(own) + 1) // 2
    assert kept == (own[: len(kept)] if front else own[len(own) - len(kept) :])
    assert len(mixed) - len(kept) == (len(other) + 1) // 2
    assert (mixed[0] in kept) == front


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("red apple", "apple"),
        ("face with tears of joy", "face"),
        ("flag: France", "flag"),
        ("woman: blond hair", "woman"),
        ("man’s shoe", "shoe"),
        ("person swimming", "person"),
        ("office building", "building"),
        ("spring", "spring"),
        ("wedding", "wedding"),
        ("A mallard duck swimming in a pond.", "duck"),
        ("Ceuta & Melilla", "Ceuta"),
        ("on", "on"),
        ("#", "#"),
    ],
)
def test_head_nouns(text: str, noun: str) -> None:
    assert head(text) == noun


def test_the_head_alone_is_exchanged() -> None:
    assert exchange_head("face with tears of joy", "car", own="face", kind="name") == "car with tears of joy"
    assert exchange_head("green apple", "car", own="apple", kind="name") == "green car"
    assert exchange_head("fruit, green apple, red", "car", own="apple", kind="keywords") == "fruit, car, red"
    assert exchange_head("fruit, red", "car", own="apple", kind="keywords") == "car, red"


def test_pieces_are_joined_as_they_were_cut() -> None:
    assert pieces("快退按钮", "zh", "name") == (list("快退按钮"), "")
    assert pieces("one,two ,  three", "en", "keywords") == (["one", "two", "three"], ", ")
    assert pieces("one  two", "en", "name") == (["one", "two"], " ")
