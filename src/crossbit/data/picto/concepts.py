"""Which items show the same thing, and which split each thing lies in: rules that keep what is tested out of training.

    1  Emoji concepts are joined where two have one English name, or two drawings look alike; joined concepts are one. They are
       split first, 70/10/20 within every group, by a hash: what else is prepared does not move them.
    2  Stamps and clip art are joined with one another and with emoji by equal names (title, file stem, sentence) and by
       pictures that look alike. What is joined with an emoji lies in its split.
    3  What is joined with none goes where its words lead: to test when its title, stem or sentence holds the name of an emoji
       of the test split, else to val in the same way, else by its own hash.
    4  What is pulled to two splits (it looks like a training drawing and is called like a test one) is left out and counted.
    5  Captions of training items that say, in their language, exactly the name of something in val or test are dropped.

Clips, spoken captions and sounds share the concepts of their drawing or stamp; events and scenes are made after the split.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.names import Names
from crossbit.data.picto.part import Quarantined
from crossbit.data.picto.wording import Phrases, normal
from crossbit.data.splits import split_by_concept

EMOJI = "emoji:"
TEXT_KINDS = ("name", "sentence")
_MARKS = "PSZ"
_HELD = ("test", "val")
"""Splits that must not be seen in training, the one that wins first."""


@dataclass(frozen=True)
class Arranged:
    """Items with their joined concepts and splits.

    Args:
        items: in their order, without those that are left out.
        quarantine: those, each with the reason.
        report: what was joined, moved and dropped, in numbers.
    """

    items: tuple[Item, ...]
    quarantine: tuple[Quarantined, ...]
    report: Mapping[str, object] = field(default_factory=dict)


class Union:
    """Sets of names that are joined pair by pair."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def find(self, name: str) -> str:
        """Give the first name, by alphabet, of the set that a name lies in."""
        root = name
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[name] != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def join(self, one: str, other: str) -> None:
        """Join the sets of two names."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low

    def sets(self) -> dict[str, list[str]]:
        """Give each set's members under its first name."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._parent):
            found[self.find(name)].append(name)
        return dict(found)


def arrange(items: Sequence[Item], names: Names, alike: Iterable[tuple[str, str]], *, seed: int = 0) -> Arranged:
    """Join concepts, give every item its split, and leave out what would leak.

    Args:
        items: with `concept` as their part gave it; those of emoji begin with `emoji:`.
        names: of the emoji.
        alike: ids of items whose pictures show the same drawing.
        seed: another one gives another split.
    """
    own = {item.id: item.concept for item in items}
    pairs = sorted({tuple(sorted((own[one], own[other]))) for one, other in alike if own[one] != own[other]})
    emoji_split, emoji_sets = _split_emoji(items, names, pairs, seed)
    others = [item for item in items if not item.concept.startswith(EMOJI)]
    placed, left_out, report = _place_others(others, names, pairs, emoji_split, emoji_sets, seed)
    kept, quarantine = [], []
    for item in items:
        if item.concept.startswith(EMOJI):
            root = emoji_sets.find(item.concept)
            kept.append(replace(item, concept=root, split=emoji_split[root]))
        elif reason := left_out.get(item.concept):
            quarantine.append(Quarantined(item.source, item.id, reason))
        else:
            concept, split = placed[item.concept]
            kept.append(replace(item, concept=concept, split=split))
    kept, dropped = drop_held_names(kept)
    sizes = sorted(((len(m), root) for root, m in emoji_sets.sets().items() if len(m) > 1), reverse=True)
    return Arranged(
        tuple(kept),
        tuple(quarantine),
        {
            "emoji_concepts": len(emoji_split),
            "emoji_concepts_joined": sum(size for size, _ in sizes),
            "largest_joined": [
                {"concepts": size, "name": (names.english(root) or (root,))[0]} for size, root in sizes[:8]
            ],
            **report,
            "left_out_between_splits": len(quarantine),
            "captions_dropped": dropped,
        },
    )


def _split_emoji(
    items: Sequence[Item], names: Names, pairs: Sequence[tuple[str, ...]], seed: int
) -> tuple[dict[str, str], Union]:
    """Join the emoji concepts and give each joined one its split."""
    concepts = sorted({item.concept for item in items if item.concept.startswith(EMOJI)})
    sets = Union(concepts)
    called: dict[str, str] = {}
    for concept in concepts:
        for name in names.english(concept):
            if (key := normal(name)) and called.setdefault(key, concept) != concept:
                sets.join(called[key], concept)
    for one, other in pairs:
        if one.startswith(EMOJI) and other.startswith(EMOJI):
            sets.join(one, other)
    roots = sorted(sets.sets())
    strata = {root: names.group(members[0]) for root in roots if (members := names.members(root))}
    stand_ins = [Item(id=root, path=root, concept=root) for root in roots]
    return {item.concept: item.split for item in split_by_concept(stand_ins, strata, seed=seed)}, sets


def _place_others(
    items: Sequence[Item],
    names: Names,
    pairs: Sequence[tuple[str, ...]],
    emoji_split: Mapping[str, str],
    emoji_sets: Union,
    seed: int,
) -> tuple[dict[str, tuple[str, str]], dict[str, str], dict[str, object]]:
    """Give concept and split of what is no emoji, or why it is left out."""
    texts = texts_of(items)
    sets = Union(texts)
    pulled: dict[str, set[str]] = defaultdict(set)  # own concept -> joined emoji concepts it is one with
    called = {
        normal(name): root for root, members in emoji_sets.sets().items() for m in members for name in names.english(m)
    }
    called.pop("", None)
    first: dict[str, str] = {}
    for concept in sorted(texts):
        for key in sorted({normal(text, digits=False) for text in texts[concept]} - {""}):
            if key in called:
                pulled[concept].add(called[key])
            sets.join(first.setdefault(key, concept), concept)
    for one, other in pairs:
        if one in texts and other in texts:
            sets.join(one, other)
        elif one in texts or other in texts:
            mine, drawn = (one, other) if one in texts else (other, one)
            pulled[mine].add(emoji_sets.find(drawn))
    phrases = {split: Phrases(_names_in(split, names, emoji_split, emoji_sets)) for split in _HELD}
    placed: dict[str, tuple[str, str]] = {}
    left_out: dict[str, str] = {}
    free: list[Item] = []
    by_words: Counter[str] = Counter()
    groups = sets.sets()
    for root, members in groups.items():
        emoji = sorted({joined for member in members for joined in pulled[member]})
        splits = {emoji_split[concept] for concept in emoji}
        said = _held_by_words([text for member in members for text in texts[member]], phrases)
        if len(splits) > 1:
            left_out |= dict.fromkeys(members, f"one with emoji of two splits, {' and '.join(sorted(splits))}")
        elif splits and said and _HELD.index(said) < _place(splits):
            left_out |= dict.fromkeys(members, f"one with an emoji of {min(splits)}, its words name one of {said}")
        elif splits:
            placed |= dict.fromkeys(members, (emoji[0], splits.pop()))
        elif said:
            by_words[said] += len(members)
            placed |= dict.fromkeys(members, (root, said))
        else:
            free.append(Item(id=root, path=root, concept=root))
    strata = {root: root.rpartition("/")[0] for root in groups}
    for item in split_by_concept(free, strata, seed=seed):
        placed |= dict.fromkeys(groups[item.concept], (item.concept, item.split))
    largest = max(groups.values(), key=len, default=[])
    report: dict[str, object] = {
        "other_concepts": len(texts),
        "other_concepts_one_with_emoji": sum(concept.startswith(EMOJI) for concept, _ in placed.values()),
        "other_concepts_held_by_words": dict(sorted(by_words.items())),
        "largest_of_others": {"concepts": len(largest), "name": largest[0] if largest else ""},
    }
    return placed, left_out, report


def texts_of(items: Iterable[Item]) -> dict[str, list[str]]:
    """Give the English names and sentences of each concept, and the file stem where the concept is a path."""
    found: dict[str, list[str]] = {}
    for item in items:
        if item.concept not in found:
            folder, _, stem = item.concept.rpartition("/")
            found[item.concept] = [stem] if folder else []
        said = found[item.concept]
        said += [c.text for c in item.captions if c.lang == "en" and c.kind in TEXT_KINDS and c.text not in said]
    return found


def _names_in(split: str, names: Names, emoji_split: Mapping[str, str], sets: Union) -> list[str]:
    return [
        name
        for root, members in sets.sets().items()
        if emoji_split[root] == split
        for member in members
        for name in names.english(member)
    ]


def _held_by_words(texts: Iterable[str], phrases: Mapping[str, Phrases]) -> str:
    """Give the split whose names stand in the texts, the one that wins; "" when none does."""
    said = list(texts)
    return next((split for split in _HELD if any(phrases[split].found_in(text) for text in said)), "")


def _place(splits: Iterable[str]) -> int:
    return min(_HELD.index(split) if split in _HELD else len(_HELD) for split in splits)


def drop_held_names(items: Sequence[Item]) -> tuple[list[Item], int]:
    """Drop the captions of training items that say exactly the name of something in val or test; count them.

    The tuples of captions are shared by the drawings of one emoji, so each is looked through once.
    """
    held = {
        key
        for captions in {id(item.captions): item.captions for item in items if item.split in _HELD}.values()
        for caption in captions
        if caption.kind in TEXT_KINDS and (key := said(caption))[1]
    }
    slim: dict[int, tuple[Caption, ...]] = {}
    kept, dropped = [], 0
    for item in items:
        if item.split == "train":
            place = id(item.captions)
            if place not in slim:
                slim[place] = tuple(caption for caption in item.captions if said(caption) not in held)
            if fewer := len(item.captions) - len(slim[place]):
                dropped += fewer
                item = replace(item, captions=slim[place])
        kept.append(item)
    return kept, dropped


def said(caption: Caption) -> tuple[str, str]:
    """Give a caption's language and words, in the form in which two captions say the same: no marks at the ends."""
    if caption.lang == "en":
        return caption.lang, normal(caption.text)
    text = " ".join(unicodedata.normalize("NFKC", caption.text).casefold().split())
    begin, end = 0, len(text)
    while begin < end and unicodedata.category(text[begin])[0] in _MARKS:
        begin += 1
    while begin < end and unicodedata.category(text[end - 1])[0] in _MARKS:
        end -= 1
    return caption.lang, text[begin:end]
