"""Words and their numbers."""

from __future__ import annotations

import pytest

from crossbit.words import split_words, word_bytes, word_number


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red apple, two Red APPLES!", ["a", "red", "apple", "two", "red", "apples"]),
        ("Straße ﬁne 3rd", ["strasse", "fine", "3rd"]),
        ("红苹果 on ice", ["红", "苹", "果", "on", "ice"]),
        ("красное яблоко", ["красное", "яблоко"]),
        ("تفاحة حمراء", ["تفاحة", "حمراء"]),
        (" -- !?", []),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_numbers_are_the_same_everywhere() -> None:
    assert word_number("apple") == 0x2ED050  # CRC-32 of its UTF-8, cut to 24 bits
    high, middle, low = word_bytes("apple")
    assert high * 65536 + middle * 256 + low == word_number("apple")
    assert max(word_bytes("apple")) < 256
