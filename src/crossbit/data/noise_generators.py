"""Generators of noise: which training pairs are made wrong, and what their captions become.

The default ones leave no pair as it was: captions are dealt out again among the chosen pairs, and a dealing that would give a
concept a right caption is mended by swaps. The two published ones shuffle blindly, as their papers' code does, so that some
pairs stay right by luck.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from crossbit.data.noise_pairs import TrainPairs
from crossbit.data.noise_text import exchange_head, half, head
from crossbit.errors import ManifestError, UsageError

Kind = Literal["complete", "partial"]
Unit = Literal["caption", "image"]

FRACTION = 0.5
"""Share of an image's captions that `fraction` exchanges."""

_SWEEPS = 8
_SWAPS = 64
_DRAWS = 500


@dataclass(frozen=True)
class Draft:
    """What one pair becomes: a text, and the pair whose caption it comes from."""

    pair: int
    source: int
    text: str


Exchange = Callable[[int, int], "Draft | None"]
"""What a pair becomes when it meets another, or None where that would not be the noise that is wanted."""


@dataclass(frozen=True)
class Generator:
    """One way to make noise.

    Args:
        kind: complete or partial.
        units: what it can exchange: single captions, or all captions of an image together.
        about: what it does, in a sentence.
        make: gives the drafts.
    """

    kind: Kind
    units: tuple[Unit, ...]
    about: str
    make: Callable[[TrainPairs, float, Unit, np.random.Generator], list[Draft]]


@dataclass
class _Units:
    """What is exchanged as a whole: rows of pairs, the block that each unit takes from, and what it needs of another."""

    rows: list[tuple[int, ...]] = field(default_factory=list)
    blocks: list[Hashable] = field(default_factory=list)
    keys: list[frozenset[tuple[str, str]]] = field(default_factory=list)

    @classmethod
    def of(cls, pairs: TrainPairs, unit: Unit, kin: Mapping[str, str] | None = None) -> _Units:
        """Cut the pairs into units; names take from names and sentences from sentences, with `kin` from relatives only."""
        found = cls()
        grouped = defaultdict[int, list[int]](list)
        for row, pair in enumerate(pairs.pairs):
            grouped[pair.item if unit == "image" else row].append(row)
        for rows in grouped.values():
            concept = pairs.concept(rows[0])
            if kin is not None and concept not in kin:
                continue
            keys = frozenset(_key(pairs, row) for row in rows)
            found.rows.append(tuple(rows))
            found.keys.append(keys)
            likes = frozenset(kind for _, kind in keys) if unit == "image" else keys
            found.blocks.append((likes, kin[concept] if kin is not None else ""))
        return found


def _key(pairs: TrainPairs, row: int) -> tuple[str, str]:
    caption = pairs.pairs[row].caption
    return caption.lang, caption.kind


def _exchanged(
    pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator, one: Exchange, kin: bool = False
) -> list[Draft]:
    """Choose units and give each the captions of another, so that every draft is what `one` allows."""
    units = _Units.of(pairs, unit, pairs.kin() if kin else None)
    everything = len({pair.item for pair in pairs.pairs}) if unit == "image" else len(pairs.pairs)
    wanted = round(ratio * everything)

    def meet(here: int, there: int) -> list[Draft] | None:
        if not units.keys[here] <= units.keys[there]:
            return None
        drafts = []
        for row, other in _counterparts(pairs, units.rows[here], units.rows[there]):
            draft = one(row, other)
            if draft is None:
                return None
            drafts.append(draft)
        return drafts

    order = draw.permutation(len(units.rows))
    by_block = defaultdict[Hashable, list[int]](list)
    for row in order:
        by_block[units.blocks[row]].append(int(row))
    made: dict[int, list[Draft]] = {}
    chosen = defaultdict[Hashable, list[int]](list)
    for row in order[:wanted]:
        chosen[units.blocks[row]].append(int(row))
    for block, members in chosen.items():
        made |= _dealt(members, by_block[block], meet, draw)
    for row in order[wanted:]:  # what cannot be exchanged is stood in for by others
        if len(made) >= wanted:
            break
        drafts = _drawn(int(row), by_block[units.blocks[row]], meet, draw)
        if drafts is not None:
            made[int(row)] = drafts
    if wanted and not made:
        raise ManifestError(
            "noise: no training caption has another that it could be exchanged with", "try another generator or unit"
        )
    return [draft for row in sorted(made) for draft in made[row]]


def _counterparts(pairs: TrainPairs, here: Sequence[int], there: Sequence[int]) -> list[tuple[int, int]]:
    """Give each pair of a unit one of another unit, taken in turn: of its language and kind, else of its language.

    A pair in a language that the other unit lacks has none and is left out.
    """
    like, speaking = defaultdict[tuple[str, str], list[int]](list), defaultdict[str, list[int]](list)
    for row in there:
        language, kind = _key(pairs, row)
        like[language, kind].append(row)
        speaking[language].append(row)
    turn = defaultdict[tuple[str, str], int](int)
    found = []
    for row in here:
        key = _key(pairs, row)
        if others := like.get(key) or speaking.get(key[0]):
            found.append((row, others[turn[key] % len(others)]))
            turn[key] += 1
    return found


_Meet = Callable[[int, int], list[Draft] | None]


def _dealt(members: list[int], block: list[int], meet: _Meet, draw: np.random.Generator) -> dict[int, list[Draft]]:
    """Deal the members' captions out among them; who cannot be served by swaps draws from the whole block."""
    given = [members[place] for place in draw.permutation(len(members))]
    for _ in range(_SWEEPS):
        bad = [place for place, member in enumerate(members) if meet(member, given[place]) is None]
        if not bad:
            break
        for place in bad:
            for other in draw.integers(len(members), size=_SWAPS):
                if meet(members[place], given[other]) is not None and meet(members[other], given[place]) is not None:
                    given[place], given[other] = given[other], given[place]
                    break
    made = {}
    for member, source in zip(members, given, strict=True):
        drafts = meet(member, source) or _drawn(member, block, meet, draw)
        if drafts is not None:
            made[member] = drafts
    return made


def _drawn(member: int, block: list[int], meet: _Meet, draw: np.random.Generator) -> list[Draft] | None:
    for place in draw.permutation(len(block))[:_DRAWS]:
        drafts = meet(member, block[place])
        if drafts is not None:
            return drafts
    return None


def _unrelated(pairs: TrainPairs) -> Exchange:
    def one(row: int, other: int) -> Draft | None:
        text = pairs.pairs[other].caption.text
        if pairs.related(pairs.concept(row), pairs.concept(other)) or pairs.is_right(row, text):
            return None
        return Draft(row, other, text)

    return one


def make_unrelated(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Give pairs the captions of unrelated concepts."""
    return _exchanged(pairs, ratio, unit, draw, _unrelated(pairs))


def make_subgroup(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Give pairs the captions of other concepts of their subgroup."""
    if not any(pairs.groups.values()):
        raise ManifestError(
            "noise: no training item has labels, expected some that say what is related",
            "`--generator half` needs none",
        )

    def one(row: int, other: int) -> Draft | None:
        text = pairs.pairs[other].caption.text
        same = pairs.concept(row) == pairs.concept(other)
        return None if same or pairs.is_right(row, text) else Draft(row, other, text)

    return _exchanged(pairs, ratio, unit, draw, one, kin=True)


def make_half(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Exchange half of each text with another concept's."""
    fronts = draw.random(len(pairs.pairs)) < 0.5

    def one(row: int, other: int) -> Draft | None:
        if pairs.concept(row) == pairs.concept(other):
            return None
        mine, strange = pairs.pairs[row].caption, pairs.pairs[other].caption
        for front in (
            bool(fronts[row]),
            not fronts[row],
        ):  # texts that share a word may differ in one of their halves alone
            text = half(mine.text, strange.text, lang=mine.lang, kind=mine.kind, front=front)
            if not pairs.is_right(row, text):
                return Draft(row, other, text)
        return None

    return _exchanged(pairs, ratio, unit, draw, one)


def make_head_noun(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Exchange the head noun of each text with another concept's."""
    if strange := sorted({pair.caption.lang for pair in pairs.pairs} - {"en"}):
        raise UsageError(f"noise: `head-noun` knows English alone, found {strange}", "leave them out: `--languages en`")
    heads = _heads(pairs)

    def one(row: int, other: int) -> Draft | None:
        own, new = heads[pairs.pairs[row].item], heads[pairs.pairs[other].item]
        if pairs.concept(row) == pairs.concept(other) or not new or own.casefold() == new.casefold():
            return None
        mine = pairs.pairs[row].caption
        text = exchange_head(mine.text, new, own=own, kind=mine.kind)
        return None if pairs.is_right(row, text) else Draft(row, other, text)

    return _exchanged(pairs, ratio, unit, draw, one)


def _heads(pairs: TrainPairs) -> dict[int, str]:
    """Give the head noun of each item: of its name, else of its first text that is no list, else the first of a list."""
    rank = {"name": 0, "keywords": 2}
    found: dict[int, tuple[int, str]] = {}
    for pair in pairs.pairs:
        place = rank.get(pair.caption.kind, 1)
        if pair.item not in found or place < found[pair.item][0]:
            found[pair.item] = (place, head(pair.caption.text))
    return {item: word for item, (_, word) in found.items()}


def make_fraction(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Exchange half of an image's captions and leave the others, so that the image is partly right."""
    by_item = defaultdict[int, list[int]](list)
    for row, pair in enumerate(pairs.pairs):
        by_item[pair.item].append(row)
    several = [rows for rows in by_item.values() if len(rows) > 1]
    if not several:
        raise ManifestError("noise: no training image has two captions, `fraction` exchanges some and keeps the others")
    blocks = defaultdict[tuple[str, str], list[int]](list)
    for row in range(len(pairs.pairs)):
        blocks[_key(pairs, row)].append(row)
    one, made = _unrelated(pairs), list[Draft]()

    def meet(here: int, there: int) -> list[Draft] | None:
        draft = one(here, there)
        return None if draft is None else [draft]

    wanted = round(ratio * len(by_item))
    done = 0
    for place in draw.permutation(len(several)):
        if done >= wanted:
            break
        rows = several[place]
        before = len(made)
        for row in draw.permutation(rows)[: max(1, int(FRACTION * len(rows)))]:
            made += _drawn(int(row), blocks[_key(pairs, int(row))], meet, draw) or []
        done += len(made) > before
    return sorted(made, key=lambda draft: draft.pair)


def make_ncr(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Shuffle a share of all captions blindly, each language apart."""
    spoken = sorted({pair.caption.lang for pair in pairs.pairs})
    by_language = [
        [row for row, pair in enumerate(pairs.pairs) if pair.caption.lang == language] for language in spoken
    ]
    made = []
    for order in [draw.permutation(rows) for rows in by_language]:
        chosen = order[: int(ratio * len(order))]
        made += [
            Draft(int(row), int(other), pairs.pairs[other].caption.text)
            for row, other in zip(chosen, draw.permutation(chosen), strict=True)
        ]
    return sorted(made, key=lambda draft: draft.pair)


def make_decl(pairs: TrainPairs, ratio: float, unit: Unit, draw: np.random.Generator) -> list[Draft]:
    """Shuffle the captions of a share of all images blindly, all captions of an image together."""
    units = _Units.of(pairs, "image")
    chosen = draw.permutation(len(units.rows))[: int(ratio * len(units.rows))]
    made = [
        Draft(row, other, pairs.pairs[other].caption.text)
        for here, there in zip(chosen, draw.permutation(chosen), strict=True)
        for row, other in _counterparts(pairs, units.rows[here], units.rows[there])
    ]
    return sorted(made, key=lambda draft: draft.pair)


GENERATORS: Mapping[str, Generator] = {
    "unrelated": Generator(
        "complete", ("caption", "image"), "the caption of a concept that shares no group", make_unrelated
    ),
    "ncr": Generator("complete", ("caption",), "a share of all captions, shuffled blindly (NCR)", make_ncr),
    "decl": Generator(
        "complete", ("image",), "a share of all images, their captions shuffled blindly (DECL)", make_decl
    ),
    "half": Generator("partial", ("caption", "image"), "half of the text exchanged with another text", make_half),
    "subgroup": Generator(
        "partial", ("caption", "image"), "the caption of another concept of the same subgroup", make_subgroup
    ),
    "head-noun": Generator("partial", ("caption", "image"), "the head noun exchanged; English", make_head_noun),
    "fraction": Generator(
        "partial", ("image",), "half of an image's captions exchanged for unrelated ones", make_fraction
    ),
}
DEFAULTS: Mapping[str, str] = {"complete": "unrelated", "partial": "half"}
