"""Names: which emoji, which languages, and which pictures are one concept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossbit.data.manifest import Caption
from crossbit.data.picto.names import Names, code_of, sequence_of
from crossbit.errors import ManifestError

APPLE, HEART, COOK, WOMAN_COOK, FLAG = "🍎", "❤️", "👨‍🍳", "👩‍🍳", "🇩🇪"


def base(emoji: str, label: str, order: int, group: int | None = 0, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    record: dict[str, Any] = {"emoji": emoji, "label": label, "order": order, "tags": list(tags)}
    return record if group is None else {**record, "group": group, "subgroup": group}


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two packages as they come, with five emoji."""
    locales = {
        "en": {
            APPLE: {"default": ["apple", "red", "Red Apple", "sweet, ripe"], "tts": ["red apple"]},
            "❤": {"default": ["love"], "tts": ["red  heart"]},
            COOK: {"tts": ["man cook"]},
            WOMAN_COOK: {"tts": ["woman cook"]},
            "∑": {"tts": ["summation"]},
        },
        "de": {APPLE: {"default": ["Obst"], "tts": ["roter Apfel"]}},
        "no": {APPLE: {"tts": ["rødt eple"]}},
        "sr-Latn": {APPLE: {"tts": ["crvena jabuka"]}},
        "kab": {APPLE: {"default": ["tteffaḥ"]}},
        "pt-PT": {APPLE: {"tts": ["maçã"]}},
        "en-001": {APPLE: {"tts": ["red fruit"]}},
        "ca-ES-valencia": {APPLE: {"tts": ["poma"]}},
        "und": {APPLE: {"tts": ["1F34E"]}},
    }
    for locale, said in locales.items():
        write(tmp_path / "c/package/annotations" / locale / "annotations.json", {"annotations": {"annotations": said}})
    write(tmp_path / "c/package/annotations/frr/annotations.json", {"annotations": {"identity": {}}})
    package = tmp_path / "e/package"
    write(
        package / "meta/groups.json", {"groups": {"0": "food", "2": "component"}, "subgroups": {"0": "fruit", "2": "x"}}
    )
    tags = tuple("abcdefghij")
    emoji = [
        base(HEART, "red heart", 2, tags=tags),
        base(APPLE, "red apple", 1, tags=("Red", "143")),
        base(COOK, "man cook", 3),
        base(WOMAN_COOK, "woman cook", 4),
        base(FLAG, "flag: Germany", 5),
        base("🇩", "regional indicator D", 0, None),
        base("🏻", "light skin tone", 9, 2),
    ]
    write(package / "en/data.json", emoji)
    write(package / "de/data.json", [base(FLAG, "Flagge: Deutschland", 5), base(APPLE, "Apfel", 1)])
    write(package / "fi/data.json", [base(FLAG, "lippu: Saksa", 5)])
    write(package / "en-gb/data.json", [base(FLAG, "the flag", 5)])
    return tmp_path / "c", tmp_path / "e"


@pytest.fixture
def names(folders: tuple[Path, Path]) -> Names:
    return Names.read(*folders)


def test_base_emoji_in_their_order_without_parts_of_others(names: Names) -> None:
    assert list(names) == [APPLE, "❤", COOK, WOMAN_COOK, FLAG]
    assert len(names) == 5
    assert HEART in names
    assert "🏻" not in names


def test_regions_fall_away_scripts_stay(names: Names) -> None:
    assert names.languages == ("de", "en", "nb", "sr-Latn")  # kab has keywords alone, frr nothing


def test_captions_are_name_and_keywords_english_first(names: Names) -> None:
    assert names.captions(APPLE) == (
        Caption("red apple", "en", "name"),
        Caption("apple, red, sweet ripe", "en", "keywords"),
        Caption("roter Apfel", "de", "name"),
        Caption("Obst", "de", "keywords"),
        Caption("rødt eple", "nb", "name"),
        Caption("crvena jabuka", "sr-Latn", "name"),
    )
    assert names.captions(APPLE) is names.captions(APPLE)
    assert names.captions(HEART)[0] == Caption("red heart", "en", "name")
    assert names.captions("∑") == ()


def test_composed_names_come_from_emojibase_where_cldr_names_the_rest(names: Names) -> None:
    assert names.captions(FLAG) == (
        Caption("flag: Germany", "en", "name"),
        Caption("Flagge: Deutschland", "de", "name"),
    )
    assert names.name(APPLE, "de") == "roter Apfel"  # CLDR's goes first


def test_lookup_goes_back(names: Names) -> None:
    assert names.lookup("ROTER apfel", "de") == APPLE
    assert names.lookup("roter apfel") is None
    assert names.name(APPLE, "xx") is None


def test_labels_are_group_subgroup_and_frequent_words(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names.labels(APPLE) == ("group:food", "subgroup:fruit")
    monkeypatch.setattr("crossbit.data.picto.names.FREQUENT_TAG", 1)
    del names.__dict__["_frequent"]
    assert names.labels(APPLE) == ("group:food", "subgroup:fruit", "tag:red")  # 143 is no word
    assert names.labels("∑") == ()
    assert names.group("∑") == ""


@pytest.mark.parametrize(
    ("emoji", "concept"),
    [
        (APPLE, "emoji:1f34e"),
        (HEART, "emoji:2764"),
        (COOK, "emoji:1f373"),
        ("👩🏽‍🍳", "emoji:1f373"),
        ("🏃‍♀️", "emoji:1f3c3"),
        ("🏃‍♀️‍➡️", "emoji:1f3c3"),
        ("➡️", "emoji:27a1"),
        ("👨‍👩‍👧‍👦", "emoji:person"),
        ("👩", "emoji:person"),
    ],
)
def test_people_are_one_concept_whatever_gender_tone_or_direction(names: Names, emoji: str, concept: str) -> None:
    assert names.concept(emoji) == concept


def test_a_concept_knows_its_members_and_their_names(names: Names) -> None:
    assert names.members("emoji:1f373") == (COOK, WOMAN_COOK)
    assert names.english("emoji:1f373") == ("man cook", "woman cook")
    assert names.english("emoji:0") == ()


def test_codes_and_back() -> None:
    assert code_of(HEART) == "2764"
    assert sequence_of("1f468-200d-1f373") == COOK
    assert code_of(sequence_of("1f468-200d-1f373")) == "1f468-200d-1f373"


def test_a_package_that_is_damaged(folders: tuple[Path, Path]) -> None:
    (folders[1] / "package/en/data.json").write_text("[{")
    with pytest.raises(ManifestError, match=r"data\.json: cannot be read .* expected JSON"):
        Names.read(*folders)
