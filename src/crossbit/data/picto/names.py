"""What every emoji is called, in every language of Unicode's CLDR, and which group it belongs to.

    CLDR (`cldr-annotations-full`)   short names and keywords of single emoji
    emojibase (`emojibase-data`)     the list of base emoji, groups, subgroups and tags; and in 28 languages the names of what
                                     CLDR composes by rule and does not list: flags, families, hair, facing right

Which languages: every folder of CLDR that holds a name and whose tag names no region (`pt-PT`, `es-419`, `zh-Hant-HK` and
`ca-ES-valencia` hold only what differs from their parent). A script stays in the tag (`zh-Hant`, `sr-Latn`); CLDR's `no`
holds Bokmål and is called `nb`. A sequence is an emoji as text; variation selectors in it do not matter.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crossbit.data.manifest import Caption
from crossbit.data.picto.packages import unpacked
from crossbit.errors import ManifestError

FREQUENT_TAG = 10
"""A tag is a label when at least so many concepts carry it, and it is a word and no number of chat slang."""

_JOINER, _SELECTOR, _RIGHTWARDS = "\u200d", "\ufe0f", "\u27a1"
_SKIN_TONES = frozenset(chr(c) for c in range(0x1F3FB, 0x1F400))
_GENDERS = frozenset("\u2640\u2642")
_PEOPLE = frozenset("\U0001f468\U0001f469\U0001f9d1\U0001f466\U0001f467\U0001f9d2\U0001f474\U0001f475\U0001f9d3")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?")
_RENAMED = {"no": "nb"}
_COMPONENT = "component"


@dataclass(frozen=True)
class Entry:
    """One base emoji: its place in Unicode's order, group, subgroup and English tags."""

    sequence: str
    order: int
    group: str
    subgroup: str
    tags: tuple[str, ...]


def sequence_of(code: str) -> str:
    """Give the emoji of code points in hexadecimal, joined by hyphens: `1f468-200d-1f373`."""
    return "".join(chr(int(point, 16)) for point in code.split("-"))


def code_of(sequence: str) -> str:
    """Give the code points of an emoji in lower-case hexadecimal, joined by hyphens, without variation selectors."""
    return "-".join(f"{ord(c):x}" for c in plain(sequence))


def plain(sequence: str) -> str:
    """Give an emoji without variation selectors: the key under which it is known."""
    return sequence.replace(_SELECTOR, "")


def has_skin_tone(sequence: str) -> bool:
    """Say whether an emoji is one of the variants of a base emoji by skin tone."""
    return bool(_SKIN_TONES & set(sequence))


class Names:
    """Names, keywords and groups of the base emoji, those without a skin tone of their own.

    Args:
        entries: base emoji to its entry, in Unicode's order.
        names: language to emoji to name.
        keywords: language to emoji to keywords.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        names: Mapping[str, Mapping[str, str]],
        keywords: Mapping[str, Mapping[str, tuple[str, ...]]],
    ) -> None:
        self._entries, self._names, self._keywords = entries, names, keywords
        self._captions: dict[str, tuple[Caption, ...]] = {}

    @classmethod
    def load(cls, *, progress: bool = True) -> Names:
        """Read the two packages, fetched when they are not there.

        Raises:
            ManifestError: a package cannot be had, or does not hold what is expected.
        """
        return cls.read(unpacked("cldr", progress=progress), unpacked("emojibase", progress=progress))

    @classmethod
    def read(cls, cldr: Path, emojibase: Path) -> Names:
        """Read the two packages' folders."""
        entries = _entries(emojibase / "package")
        names: dict[str, dict[str, str]] = {}
        keywords: dict[str, dict[str, tuple[str, ...]]] = {}
        for language, listed in _locales(cldr / "package" / "annotations"):
            for sequence, said in listed.items():
                if (key := plain(sequence)) not in entries:
                    continue
                if name := _name(said.get("tts", ())):
                    names.setdefault(language, {})[key] = name
                if words := _keywords(said.get("default", ()), _name(said.get("tts", ()))):
                    keywords.setdefault(language, {})[key] = words
        for language, sequence, name in _composed(emojibase / "package"):
            # only where CLDR names the rest, so that a language is not known by its flags alone
            if language in names and sequence in entries:
                names[language].setdefault(sequence, name)
        return cls(entries, names, {language: words for language, words in keywords.items() if language in names})

    @property
    def languages(self) -> tuple[str, ...]:
        """Name the languages, in the order of their tags."""
        return tuple(sorted(self._names))

    def __iter__(self) -> Iterator[str]:
        """Go through the base emoji in Unicode's order."""
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, sequence: object) -> bool:
        return isinstance(sequence, str) and plain(sequence) in self._entries

    def name(self, sequence: str, lang: str = "en") -> str | None:
        """Give the name in a language, if it has one."""
        return self._names.get(lang, {}).get(plain(sequence))

    def keywords(self, sequence: str, lang: str = "en") -> tuple[str, ...]:
        """Give the keywords in a language, without the name itself."""
        return self._keywords.get(lang, {}).get(plain(sequence), ())

    def captions(self, sequence: str) -> tuple[Caption, ...]:
        """Give name and keywords in every language that has them, English first.

        The same tuple is given every time, so that five drawings of one emoji hold its 250 captions once.
        """
        key = plain(sequence)
        if key not in self._captions:
            order = sorted(self._names, key=lambda lang: (lang != "en", lang))
            found = []
            for lang in order:
                if name := self.name(key, lang):
                    found.append(Caption(name, lang, "name"))
                if words := self.keywords(key, lang):
                    found.append(Caption(", ".join(words), lang, "keywords"))
            self._captions[key] = tuple(found)
        return self._captions[key]

    def group(self, sequence: str) -> str:
        """Give the group, such as `smileys-emotion`; "" for what is no base emoji."""
        entry = self._entries.get(plain(sequence))
        return entry.group if entry else ""

    def labels(self, sequence: str) -> tuple[str, ...]:
        """Give group, subgroup and frequent tags as labels: `group:food-drink`, `subgroup:food-fruit`, `tag:red`."""
        entry = self._entries.get(plain(sequence))
        if entry is None:
            return ()
        tags = (f"tag:{tag}" for tag in entry.tags if tag in self._frequent)
        return (f"group:{entry.group}", f"subgroup:{entry.subgroup}", *tags)

    def concept(self, sequence: str) -> str:
        """Give the concept: people of another gender, skin tone or facing the other way are one."""
        key = plain(sequence).removesuffix(_JOINER + _RIGHTWARDS)
        rest = [c for c in key if c not in _GENDERS | _PEOPLE | _SKIN_TONES and c != _JOINER]
        return "emoji:" + ("-".join(f"{ord(c):x}" for c in rest) or "person")

    def members(self, concept: str) -> tuple[str, ...]:
        """Give the base emoji of a concept, the plainest first."""
        return self._members.get(concept, ())

    def english(self, concept: str) -> tuple[str, ...]:
        """Give the English names of a concept's members, the plainest first."""
        return tuple(name for sequence in self.members(concept) if (name := self.name(sequence)))

    def lookup(self, name: str, lang: str = "en") -> str | None:
        """Give the base emoji that has this name in a language, capitals aside; the first in Unicode's order."""
        return self._by_name.get((lang, name.casefold()))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for sequence in self._entries:
            for lang, names in self._names.items():
                if sequence in names:
                    found.setdefault((lang, names[sequence].casefold()), sequence)
        return found

    @cached_property
    def _members(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for sequence in self._entries:
            found.setdefault(self.concept(sequence), []).append(sequence)
        return {concept: tuple(sorted(members, key=len)) for concept, members in found.items()}

    @cached_property
    def _frequent(self) -> frozenset[str]:
        pairs = {(tag, self.concept(entry.sequence)) for entry in self._entries.values() for tag in entry.tags}
        counts = Counter(tag for tag, _ in pairs)
        return frozenset(tag for tag, count in counts.items() if count >= FREQUENT_TAG and not tag.isdigit())


def _entries(package: Path) -> dict[str, Entry]:
    meta = _json(package / "meta" / "groups.json")
    groups, subgroups = meta["groups"], meta["subgroups"]
    found = []
    for record in _json(package / "en" / "data.json"):
        if "group" not in record or groups[str(record["group"])] == _COMPONENT:
            continue  # letters of flags, skin tones and hair: parts of emoji
        tags = tuple(sorted({str(tag).casefold() for tag in record.get("tags", ())}))
        group, subgroup = groups[str(record["group"])], subgroups[str(record["subgroup"])]
        found.append(Entry(plain(record["emoji"]), record["order"], group, subgroup, tags))
    return {entry.sequence: entry for entry in sorted(found, key=lambda entry: entry.order)}


def _locales(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted(folder.glob("*/annotations.json")):
        if _LOCALE.fullmatch(path.parent.name) and path.parent.name != "und":
            yield (
                _RENAMED.get(path.parent.name, path.parent.name),
                _json(path)["annotations"].get("annotations", {}),
            )


def _composed(package: Path) -> Iterator[tuple[str, str, str]]:
    """Go through language, emoji and name of emojibase's translations."""
    for path in sorted(package.glob("*/data.json")):
        tag = path.parent.name
        language = "zh-Hant" if tag == "zh-hant" else tag
        if _LOCALE.fullmatch(language):
            for record in _json(path):
                if name := _name([record.get("label", "")]):
                    yield language, plain(record["emoji"]), name


def _name(said: Any) -> str:
    return " ".join(str(said[0]).split()) if said else ""


def _keywords(said: Any, name: str) -> tuple[str, ...]:
    # a comma would part the list that the caption makes of them
    words = (" ".join(str(word).replace(",", " ").split()) for word in said)
    return tuple(dict.fromkeys(word for word in words if word and word.casefold() != name.casefold()))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error}), expected JSON of the package", "delete its folder and prepare again"
        ) from error
