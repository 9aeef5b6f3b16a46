"""The grammar of captions that are made: what is said of two events and of a scene, in every language of `grammar.json`.

Names come bare out of CLDR: no article, no gender, no case, singular or plural. So every template leaves a name as it stands:
behind a colon ("first: turkey, then: cook"), behind a copula that agrees with nothing (先是火鸡), or in quotation marks, which
make a name a citation (« dinde » est à gauche de « chef »). Verbs that would have to agree with a name are not used; what
happens is said by an adverb, a participle or a noun ("entrada por la izquierda: pavo").

An event has two sentences a language, one that tells it in order and one that begins at the end: the order of the words
alone does not give the order of the events away.

    events   order        {a} comes first, {b} second
             side         {a} is on the left, {b} on the right
             entry-left   {a} enters from the left, {b} stands at the top;  entry-right the same from the right
    scenes   list, across, down     sentences over {things}, names with `times` where one stands more than once
             what, count, total, colour, where-across, where-down    questions over {a} and {b}, which stand quoted
             answers, colours       what the answers are called

A language is a record in the file; it may have events alone.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from crossbit.data.manifest import Item
from crossbit.data.picto.wording import words
from crossbit.errors import ManifestError

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
EDGES = ("left", "right", "top", "bottom")
_DIRECTIONS = ("left", "right", "above", "below")
_EVENTS = ("order", "side", "entry-left", "entry-right")
_FIELDS: Mapping[str, frozenset[str]] = {
    "quote": frozenset({""}),
    "separator": frozenset(),
    "times": frozenset({"n", "name"}),
    "list": frozenset({"things"}),
    "across": frozenset({"things"}),
    "down": frozenset({"things"}),
    "count": frozenset({"a"}),
    "total": frozenset(),
    "colour": frozenset({"a"}),
    "where-across": frozenset({"a", "b"}),
    "where-down": frozenset({"a", "b"}),
}
_WORDS: Mapping[str, Sequence[str]] = {"what": EDGES, "answers": _DIRECTIONS, "colours": COLOURS}
_SIGNS = frozenset(':;,{}"«»“”„‟：；，、「」『』،؛×')
_TELLING = frozenset({"left", "right", "first", "second", "top", "bottom"})


@dataclass(frozen=True)
class SceneGrammar:
    """The templates of one language for scenes.

    Args:
        templates: by the names in this module's docstring, besides the words below.
        what: left, right, top or bottom to the question for what stands there.
        answers: left, right, above and below as answers.
        colours: English name of a colour to its name.
    """

    templates: Mapping[str, str]
    what: Mapping[str, str]
    answers: Mapping[str, str]
    colours: Mapping[str, str]

    def ask(self, kind: str, **names: str) -> str:
        """Fill a question; the names are put into the language's quotation marks."""
        return self.templates[kind].format(**{key: self.templates["quote"].format(name) for key, name in names.items()})

    def tell(self, kind: str, things: Sequence[tuple[str, int]]) -> str:
        """Fill a sentence with names and how often each stands there."""
        times = self.templates["times"]
        told = [name if count == 1 else times.format(n=count, name=name) for name, count in things]
        return self.templates[kind].format(things=self.templates["separator"].join(told))


@dataclass(frozen=True)
class Grammar:
    """The templates of one language; `scenes` is None where it has none."""

    lang: str
    events: Mapping[str, tuple[str, str]]
    scenes: SceneGrammar | None

    def event(self, kind: str, a: str, b: str) -> tuple[str, str]:
        """Say what happens to two names, in order and beginning at the end."""
        first, second = (template.format(a=a, b=b) for template in self.events[kind])
        return first, second


@cache
def grammars() -> Mapping[str, Grammar]:
    """Read the packaged table: language to grammar."""
    path = Path(__file__).with_name("grammar.json")
    return {lang: read_grammar(lang, record) for lang, record in json.loads(path.read_text(encoding="utf-8")).items()}


def event_languages() -> tuple[str, ...]:
    """Name the languages of two-event clips."""
    return tuple(grammars())


def scene_languages() -> tuple[str, ...]:
    """Name the languages of scenes."""
    return tuple(lang for lang, grammar in grammars().items() if grammar.scenes)


def read_grammar(lang: str, record: Mapping[str, Any]) -> Grammar:
    """Check the record of a language and give its grammar.

    Raises:
        ManifestError: a template is missing, or has other fields than it needs; the message names it.
    """
    where = f"grammar.json: {lang}"
    if unknown := set(record) - {"events", "scenes"}:
        raise ManifestError(f"{where}: found {min(unknown)!r}, expected `events` and `scenes`")
    events = {}
    for kind in _EVENTS:
        pair = record.get("events", {}).get(kind, ())
        if len(pair) != 2 or any(_fields(text) != {"a", "b"} for text in pair) or pair[0] == pair[1]:
            raise ManifestError(f"{where}: events.{kind} is {pair!r}, expected two sentences that hold {{a}} and {{b}}")
        events[kind] = (pair[0], pair[1])
    return Grammar(lang, events, _scenes(record["scenes"], where) if "scenes" in record else None)


def _scenes(record: Mapping[str, Any], where: str) -> SceneGrammar:
    templates = {}
    for kind, fields in _FIELDS.items():
        text = record.get(kind, "")
        if not text or _fields(text) != fields:
            needed = ", ".join(f"{{{field}}}" for field in sorted(fields)) or "no field"
            raise ManifestError(f"{where}: scenes.{kind} is {text!r}, expected a text with {needed}")
        templates[kind] = text
    called: dict[str, dict[str, str]] = {}
    for kind, keys in _WORDS.items():
        found = {key: record.get(kind, {}).get(key, "") for key in keys}
        if not all(found.values()) or len(set(found.values())) < len(keys):
            raise ManifestError(f"{where}: scenes.{kind} is {found!r}, expected another text for each of {list(keys)}")
        called[kind] = found
    return SceneGrammar(templates, called["what"], called["answers"], called["colours"])


def _fields(text: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}


def plain_names(item: Item, languages: Sequence[str]) -> dict[str, str] | None:
    """Give an item's name in each language, or None where one is missing or would break a template.

    "flag: France" behind a colon, or a name with a comma in a list, could be read in two ways; and so could "backhand index
    pointing left", where sides are told (looked for in the English name).
    """
    names: dict[str, str] = {}
    for caption in item.captions:
        if caption.kind == "name" and caption.lang not in names:
            names[caption.lang] = caption.text
    if any(lang not in names or _SIGNS & set(names[lang]) for lang in languages):
        return None
    if _TELLING & set(words(names.get("en", ""))):
        return None
    return {lang: names[lang] for lang in languages}
