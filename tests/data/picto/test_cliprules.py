"""The rules by which titles, keywords and descriptions are told apart: each on examples of its own."""

from __future__ import annotations

import pytest

from crossbit.data.picto.cliprules import (
    COLLECTION,
    Flags,
    Lexicon,
    clean_keywords,
    clean_title,
    collections_in,
    english_words,
    for_all_eyes,
    name_in,
    sane_description,
)
from crossbit.data.picto.cliptext import Facts
from data.picto.fakes import names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Pear", "Pear"),
        ("  a  red\tpear ", "a red pear"),
        ("Clipart by Caleb Moore - vanuatu", "vanuatu"),
        ("pink_cake", "pink cake"),
        ("mouth - body part", "mouth"),
        ("tree - RPG map elements", "tree"),
        ("Hot Dog (B and W)", "Hot Dog"),
        ("Croissant (B &amp; W)", "Croissant"),
        ("Pacman (yet another", "Pacman"),
        ("clock12", "clock"),
        ("Rana01", "Rana"),
        ("Bad Guy FR#1", "Bad Guy FR"),
        ("horse #2", "horse"),
        ("Musical Note 2", "Musical Note"),
        ("02_waxing_moon", "waxing moon"),
        ("9 ball", "9 ball"),
        ("Warning...", "Warning"),
        ("GPS Geko 202", "GPS Geko"),
        ("#!", ""),
        ("", ""),
    ],
)
def test_titles(title: str, name: str) -> None:
    assert clean_title(title) == name


def test_collections() -> None:
    titles = ["Clouds"] * (COLLECTION - 1) + ["gramastar"] * COLLECTION
    titles += ["Clipart by Ann - pear"] * 2 + ["Clipart by Ann - apple"]
    assert collections_in(titles) == {"gramastar", "Clipart by Ann - pear"}


SETS = frozenset({"gramastar", "Lemon SVG theme", "Clipart by Ann - pear", ""})


@pytest.mark.parametrize(
    ("title", "path", "name", "reason"),
    [
        ("Pear", "food/pear_01.svg", "Pear", ""),
        ("Clipart by Ann - pear", "food/lemon.svg", "lemon", ""),
        ("gramastar", "shapes/Give_Way.svg", "give way", ""),
        ("gramastar", "signs/aiga_bus_.svg", "bus", ""),
        ("gramastar", "signs/aiga_bus1.svg", "bus", ""),
        ("gramastar", "food/apple_wedge_bw.svg", "apple wedge", ""),
        ("", "flags/bay_of_pigs.svg", "bay of pigs", ""),
        ("gramastar", "shapes/star_69pt14step.svg", "", "only a collection's title"),
        ("gramastar", "cards/simple_c_k.svg", "", "only a collection's title"),
        ("gramastar", "shapes/RedStar.svg", "", "only a collection's title"),
        ("", "people/ppl2.svg", "", "no title"),
        ("Lemon SVG theme", "computer/icons/printer.svg", "", "one of an icon theme or of a set of gradients"),
        ("Printer", "computer/icons/flat-theme/printer.svg", "", "one of an icon theme or of a set of gradients"),
        ("Hotel Icon Gym", "computer/icons/gym.svg", "Hotel Icon Gym", ""),
        ("drawing.svg", "x/drawing.svg", "", "its title is a file name or a hash"),
        ("HASH(0x85fcd64)", "x/y.svg", "", "its title is a file name or a hash"),
        ("70a02f", "x/y.svg", "", "its title is a file name or a hash"),
        ("M16", "x/y.svg", "", "its title is no words"),
        ("the quick brown fox jumps over a dog", "x/y.svg", "", "its title is longer than 7 words"),
    ],
)
def test_names(title: str, path: str, name: str, reason: str) -> None:
    assert name_in(title, path, SETS) == (name, reason)


def test_other_languages() -> None:
    lexicon = Lexicon(names(), english_words([Facts(keywords=("mela", "pond")), Facts(keywords=("mela",))]))
    assert lexicon.foreign("Anatra")
    assert lexicon.foreign("anatra piccola")
    assert not lexicon.foreign("Duck")
    assert not lexicon.foreign("Ducks, anatra")  # a word of it is English
    assert not lexicon.foreign("Zzyzx")  # nobody knows it
    assert lexicon.foreign("Zzyzx de duck")  # but for a preposition that is none of English
    assert not lexicon.foreign("Ducks de pond")
    assert not lexicon.foreign("mela")  # two drawings have it as a keyword
    assert Lexicon(names()).foreign("mela")
    # of an author who titles in Italian more is asked
    assert lexicon.foreign("Zzyzx", "Architetto Francesco Rollandin")
    assert lexicon.foreign("Duck anatra", "Architetto Francesco Rollandin")
    assert not lexicon.foreign("Duck", "Architetto Francesco Rollandin")


def test_english_words_are_not_learnt_from_authors_of_another_language() -> None:
    facts = [Facts(keywords=("rana verde",), author="F. Rollandin")] * 3 + [Facts(keywords=("green_frog",))] * 2
    assert english_words(facts) == {"green", "frog"}


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("armenia", "signs_and_symbols/flags/asia/x.svg", "flag: Armenia"),
        ("United Kingdom - Armenia", "signs_and_symbols/flags/asia/x.svg", "flag: Armenia"),
        ("Historic - Armenia", "signs_and_symbols/flags/historic/x.svg", "flag: Historic - Armenia"),
        ("France - Alsace", "signs_and_symbols/flags/europe/x.svg", "flag: France - Alsace"),
        ("Pirate flag", "signs_and_symbols/flags/historic/x.svg", "Pirate flag"),
        ("armenia", "geography/x.svg", "armenia"),
    ],
)
def test_flags(name: str, path: str, expected: str) -> None:
    assert Flags(names()).name(name, path) == expected


def test_keywords() -> None:
    said = [
        "",
        "hash",
        "HASH(0x8a0a540)",
        "0x91c6b24",
        "11",
        "Fruit",
        "fruit",
        "united_nations_member",
        "hot, red",
        "mapsym",
    ]
    said += ["architetto francesco rollandin", "north_america", "Pear", "x"]
    assert clean_keywords(said, "pear") == ("fruit", "hot red", "north america")


@pytest.mark.parametrize(
    ("description", "kept"),
    [
        ("Traffic light with yellow light on", True),
        ("A red apple on a table.\nMade for my aunt.", True),
        ("Pear", False),
        ("A red pear.", False),  # the title once more
        ("write to ann@example.org for more", False),
        ("see http://example.org for more", False),
        ("Created with a pen and ink", False),
        ("Part of Hotel Icons Collection", False),
        ("I drew this for you", False),
        ("HASH(0x85fcd64) and some more words", False),
        (" ".join(["word"] * 31), False),
        ("a b " + "x" * 200, False),
    ],
)
def test_descriptions(description: str, kept: bool) -> None:
    found = sane_description(description, "A red pear", "a_red_pear")
    assert found == (description.split("\n")[0] if kept else "")


def test_for_all_eyes() -> None:
    assert for_all_eyes(["girl", "woman", "essex"])
    assert not for_all_eyes(["girl", "Erotik"])
    assert not for_all_eyes(["a nude woman"])
