"""Where concepts go, kind after kind: emoji by their hash, others with what they are one with, or where their words lead."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from crossbit.data.manifest import Item
from crossbit.data.picto.names import Names
from crossbit.data.picto.saying import HELD, TEXT_KINDS
from crossbit.data.picto.wording import Phrases, normal
from crossbit.data.splits import split_by_concept

EMOJI = "emoji"


class Union:
    """Sets of names that are joined pair by pair."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def __contains__(self, name: str) -> bool:
        return name in self._parent

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


class Placing:
    """What is known after each kind of concept.

    Args:
        names: of the emoji.
        pairs: concepts, as their parts gave them, with pictures that show the same drawing.
        seed: of the splits.

    Attributes:
        root_of: concept to the one that it was joined into.
        split_of: joined concept to its split.
        left_out: concept to the reason.
    """

    def __init__(self, names: Names, pairs: Sequence[tuple[str, str]], seed: int) -> None:
        self._names, self._pairs, self._seed = names, pairs, seed
        self.root_of: dict[str, str] = {}
        self.split_of: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self._called: dict[str, str] = {}  # a name's normal form to the joined concept of that name
        self._held: dict[str, set[str]] = {split: set() for split in HELD}
        self._joined: Counter[str] = Counter()
        self._facts: dict[str, dict[str, object]] = {}

    def emoji(self, items: Sequence[Item]) -> None:
        """Join emoji by name and look, and split them within their groups."""
        sets = Union({item.concept for item in items})
        called: dict[str, str] = {}
        for concept in sorted(sets.sets()):
            for name in self._names.english(concept):
                if (key := normal(name)) and called.setdefault(key, concept) != concept:
                    sets.join(called[key], concept)
        for one, other in self._pairs:
            if one in sets and other in sets:
                sets.join(one, other)
        groups = sets.sets()
        strata = {root: self._names.group(shown[0]) for root in groups if (shown := self._names.members(root))}
        for root, split in _split(groups, strata, self._seed):
            english = {member: list(self._names.english(member)) for member in groups[root]}
            self._keep(root, groups[root], split, english, english)
        largest = sorted((-len(members), root) for root, members in groups.items() if len(members) > 1)[:8]
        self._facts[EMOJI] = {
            "concepts": len(groups),
            "joined": sum(len(members) for members in groups.values() if len(members) > 1),
            "largest": [
                {"concepts": -size, "name": (self._names.english(root) or (root,))[0]} for size, root in largest
            ],
        }

    def others(self, items: Sequence[Item]) -> None:
        """Place one more kind of concept beside those that are placed, which stay where they are."""
        if not items:
            return
        texts = texts_of(items)
        groups, pulled = self._joined_with(texts)
        phrases = {split: Phrases(names) for split, names in self._held.items()}
        named = _names_of(items)
        free: dict[str, list[str]] = {}
        by_words: Counter[str] = Counter()
        one_with: Counter[str] = Counter()
        for root, members in groups.items():
            roots = sorted({joined for member in members for joined in pulled[member]})
            splits = {self.split_of[joined] for joined in roots}
            said = _held_by_words([text for member in members for text in texts[member]], phrases)
            if len(splits) > 1:
                self._leave_out(members, f"one with what lies in two splits, {' and '.join(sorted(splits))}")
            elif splits and said and HELD.index(said) < _place(splits):
                self._leave_out(members, f"one with something of {min(splits)}, its words name something of {said}")
            elif splits:
                one_with[min(splits)] += len(members)
                self._keep(roots[0], members, min(splits), texts, named)
            elif said:
                by_words[said] += len(members)
                self._keep(root, members, said, texts, named)
            else:
                free[root] = members
        for root, split in _split(free, {root: root.rpartition("/")[0] for root in free}, self._seed):
            self._keep(root, free[root], split, texts, named)
        largest = max(groups.values(), key=len)
        self._facts[items[0].concept.partition(":")[0]] = {
            "concepts": len(texts),
            "one_with_earlier": dict(sorted(one_with.items())),
            "held_by_words": dict(sorted(by_words.items())),
            "largest": {"concepts": len(largest), "name": largest[0]},
        }

    def leave_out(self, concept: str, reason: str) -> None:
        """Take a concept out again."""
        self.root_of.pop(concept, None)
        self.left_out[concept] = reason

    def report(self) -> dict[str, object]:
        """Give what was joined and moved, in numbers, by kind."""
        return dict(self._facts)

    def _joined_with(self, texts: dict[str, list[str]]) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
        """Join concepts of one kind, and say with which of the placed ones each is one."""
        sets = Union(texts)
        pulled: dict[str, set[str]] = defaultdict(set)
        first: dict[str, str] = {}
        for concept in sorted(texts):
            for key in sorted({normal(text, digits=False) for text in texts[concept]} - {""}):
                if key in self._called:
                    pulled[concept].add(self._called[key])
                sets.join(first.setdefault(key, concept), concept)
        for pair in self._pairs:
            for one, other in (pair, pair[::-1]):
                if one in sets and other in sets:
                    sets.join(one, other)
                elif one in sets and other in self.root_of:
                    pulled[one].add(self.root_of[other])
        return sets.sets(), pulled

    def _keep(
        self,
        root: str,
        members: Iterable[str],
        split: str,
        texts: dict[str, list[str]],
        named: dict[str, list[str]],
    ) -> None:
        self.split_of[root] = split
        for member in members:
            self.root_of[member] = root
            for text in texts[member]:
                if key := normal(text, digits=member.startswith(f"{EMOJI}:")):
                    self._called.setdefault(key, root)
            if split in HELD:
                self._held[split].update(named[member])

    def _leave_out(self, members: Iterable[str], reason: str) -> None:
        for member in members:
            self.leave_out(member, reason)


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


def _names_of(items: Iterable[Item]) -> dict[str, list[str]]:
    """Give the English names alone of each concept: a sentence is too long to be looked for in others."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in items:
        found[item.concept] += [c.text for c in item.captions if c.lang == "en" and c.kind == "name"]
    return found


def _split(groups: Iterable[str], strata: dict[str, str], seed: int) -> list[tuple[str, str]]:
    stand_ins = [Item(id=root, path=root, concept=root) for root in groups]
    return [(item.concept, item.split) for item in split_by_concept(stand_ins, strata, seed=seed)]


def _held_by_words(texts: Iterable[str], phrases: dict[str, Phrases]) -> str:
    """Give the split whose names stand in the texts, the one that wins; "" when none does."""
    said = list(texts)
    return next((split for split in HELD if any(phrases[split].found_in(text) for text in said)), "")


def _place(splits: Iterable[str]) -> int:
    return min(HELD.index(split) if split in HELD else len(HELD) for split in splits)
