"""When two texts name one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.data.picto.wording import Phrases, normal, words


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The Red Apples", "red apple"),
        ("a duck.", "duck"),
        ("flag: France", "flag france"),
        ("cherries", "cherry"),
        ("boxes", "box"),
        ("benches", "bench"),
        ("glasses", "glass"),
        ("bus", "bus"),
        ("iris", "iris"),
        ("man’s shoe", "man shoe"),
        ("seven o’clock", "seven o'clock"),
        ("keycap: 3", "keycap 3"),
        ("ＦＵＬＬ　ｗｉｄｔｈ", "full width"),
        ("?!", ""),
        ("the", ""),
    ],
)
def test_the_form_of_a_name(text: str, form: str) -> None:
    assert normal(text) == form


@pytest.mark.parametrize("stem", ["duck", "duck_2", "Duck 02", "duck2", "ducks-1"])
def test_numbers_at_the_end_of_stems_fall_away(stem: str) -> None:
    assert normal(stem, digits=False) == "duck"


def test_a_number_alone_stays() -> None:
    assert normal("2", digits=False) == "2"


def test_names_stand_in_texts_as_whole_words() -> None:
    phrases = Phrases(["red apple", "cat", "hot dog", "?"])
    assert phrases.found_in("Two red apples, and a cat.") == {"red apple", "cat"}
    assert phrases.found_in("A catfish and a red, ripe apple") == set()
    assert phrases.found_in("hot dogs") == {"hot dog"}
    assert phrases.found_in("dog hot") == set()
    assert phrases.found_in("cat_04") == {"cat"}
    assert phrases.found_in("cat7") == {"cat"}
    assert phrases.found_in("") == set()


@given(st.lists(st.text("abs y", max_size=8), max_size=5), st.text("abs y", max_size=20))
def test_as_a_slow_twin_finds_them(names: list[str], text: str) -> None:
    padded = f" {' '.join(words(text))} "
    slow = {normal(name) for name in names if normal(name) and f" {normal(name)} " in padded}
    assert Phrases(names).found_in(text) == slow
