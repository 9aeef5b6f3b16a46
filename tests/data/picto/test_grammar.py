"""The table of templates: complete in every language, and no two sentences that should differ are the same."""

from __future__ import annotations

import copy
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto import grammar
from crossbit.errors import ManifestError

TABLE: dict[str, Any] = json.loads(Path(grammar.__file__).with_name("grammar.json").read_text(encoding="utf-8"))


def test_languages_that_are_promised() -> None:
    assert set(grammar.event_languages()) >= {"en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja"}
    assert set(grammar.scene_languages()) >= {"en", "de", "fr", "es", "zh"}


@pytest.mark.parametrize("lang", TABLE)
def test_what_differs_is_told_differently(lang: str) -> None:
    made = grammar.grammars()[lang]
    for kind in ("order", "side"):
        assert not set(made.event(kind, "A", "B")) & set(made.event(kind, "B", "A"))
    assert not set(made.event("entry-left", "A", "B")) & set(made.event("entry-right", "A", "B"))
    for kind in ("order", "side", "entry-left", "entry-right"):
        straight, inverted = made.event(kind, "A", "B")
        assert straight.index("A") < straight.index("B")
        assert inverted.index("B") < inverted.index("A")
        # left is not right, first is not second: the words around the names are not the same on both sides
        assert straight.replace("A", "?").replace("B", "?") != inverted.replace("A", "?").replace("B", "?")


@pytest.mark.parametrize("lang", grammar.scene_languages())
def test_questions_and_answers_of_a_language_are_told_apart(lang: str) -> None:
    made = grammar.grammars()[lang].scenes
    assert made
    asked = [made.ask("count", a="A"), made.ask("total"), made.ask("colour", a="A")]
    asked += [made.ask(kind, a="A", b="B") for kind in ("where-across", "where-down")]
    asked += made.what.values()
    assert all(one != other for one, other in combinations(asked, 2))
    assert made.ask("where-across", a="A", b="B") != made.ask("where-across", a="B", b="A")
    # the words that are offered in a question are those that answer it
    assert made.answers["left"] in made.ask("where-across", a="A", b="B")
    assert made.answers["above"] in made.ask("where-down", a="A", b="B")
    assert tuple(made.colours) == grammar.COLOURS


def test_sentences_are_filled_as_they_are_read() -> None:
    english, french, chinese = (grammar.grammars()[lang] for lang in ("en", "fr", "zh"))
    assert english.event("order", "turkey", "cook") == ("first: turkey, then: cook", "second: cook, first: turkey")
    assert chinese.event("side", "火鸡", "厨师") == ("左边是火鸡，右边是厨师", "右边是厨师，左边是火鸡")
    assert french.scenes
    assert (
        french.scenes.ask("where-across", a="dinde", b="chef")
        == "Où est « dinde » : à gauche ou à droite de « chef » ?"
    )
    assert english.scenes
    assert english.scenes.tell("list", [("dog", 2), ("car", 1)]) == "in the picture: 2 × dog, car"
    assert english.scenes.tell("across", [("dog", 1), ("car", 1)]) == "from left to right: dog, car"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("events", "order"), ["first: {a}, then: {b}"], "events.order is"),
        (("events", "side"), ["left: {a}", "right: {b}, left: {a}"], "events.side is"),
        (("events", "side"), ["left: {a}, {b}"] * 2, "two sentences that hold"),
        (("scenes", "count"), "How many?", "scenes.count is 'How many?', expected a text with {a}"),
        (("scenes", "total"), "", "scenes.total is '', expected a text with no field"),
        (("scenes", "quote"), "“{name}”", "scenes.quote"),
        (("scenes", "colours", "red"), "pink", "scenes.colours"),
        (("scenes", "answers", "left"), "", "scenes.answers"),
        (("verbs",), {}, "found 'verbs', expected `events` and `scenes`"),
    ],
)
def test_a_faulty_record_is_named(path: tuple[str, ...], value: object, words: str) -> None:
    record = copy.deepcopy(TABLE["en"])
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ManifestError) as caught:
        grammar.read_grammar("en", record)
    assert caught.value.message.startswith("grammar.json: en")
    assert words in caught.value.message


def test_a_language_may_have_events_alone() -> None:
    record = {"events": TABLE["en"]["events"]}
    assert grammar.read_grammar("xx", record).scenes is None


def test_names_that_would_break_a_template_are_not_used() -> None:
    def named(**texts: str) -> Item:
        return Item("a", "a.png", captions=tuple(Caption(text, lang, "name") for lang, text in texts.items()))

    assert grammar.plain_names(named(en="red apple", de="roter Apfel", fr="pomme"), ("en", "de")) == {
        "en": "red apple",
        "de": "roter Apfel",
    }
    assert grammar.plain_names(named(en="red apple"), ("en", "de")) is None
    for text in ("flag: France", "beans, peas", "a “b”", "{a}", "豆：绿", "豆、绿", "hand pointing Left"):
        assert grammar.plain_names(named(en=text), ("en",)) is None
    twice = Item("a", "a.png", captions=(Caption("k, w", "en", "keywords"), *(Caption(t, "en", "name") for t in "xy")))
    assert grammar.plain_names(twice, ("en",)) == {"en": "x"}


def test_the_page_shows_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "picto.md").read_text(encoding="utf-8")
    for lang, record in TABLE.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| {lang} | {record['events']['order'][0]}"))
        assert record["events"]["side"][0] in row
        assert record["events"]["entry-left"][0] in row
        if "scenes" in record:
            row = next(line for line in page.splitlines() if line.startswith(f"| {lang} | {record['scenes']['list']}"))
            assert all(record["scenes"][kind] in row for kind in ("across", "down", "count", "colour", "where-across"))
