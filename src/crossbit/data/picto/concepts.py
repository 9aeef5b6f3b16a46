"""Which items show the same thing, and which split each thing lies in: rules that keep what is tested out of training.

    1  Emoji concepts are joined where two have one English name, or two drawings look alike; joined concepts are one. They are
       split first, 70/10/20 within every group, by a hash: what else is prepared does not move them.
    2  Stamps are joined with one another and with emoji by equal names (file stem, name, sentence) and by pictures that look
       alike. What is joined with an emoji lies in its split.
    3  What is joined with none goes where its words lead: to test when its stem, name or sentence holds the name of an emoji of
       the test split, else to val in the same way, else by its own hash.
    4  What is pulled to two splits (it looks like a training drawing and is called like a test one) is left out and counted.
    5  Captions of training items that say, in their language, exactly the name of something in val or test are dropped.
    6  Clip art, and whatever comes later, is placed by the same rules after drawings and stamps, which it does not move: there
       names of stamps count like names of emoji, and a held-out item that is called like a training caption is left out.

Clips, spoken captions and sounds share the concepts of their drawing or stamp; events and scenes are made after the split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crossbit.data.manifest import Item
from crossbit.data.picto.names import Names
from crossbit.data.picto.part import Quarantined
from crossbit.data.picto.placing import EMOJI, Placing
from crossbit.data.picto.saying import HELD, TEXT_KINDS, drop, held_names, said

FIRST = (EMOJI, "stamp")
"""Kinds of concept that are placed first, in this order: together they are the data set `picto`."""


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


def arrange(items: Sequence[Item], names: Names, alike: Iterable[tuple[str, str]], *, seed: int = 0) -> Arranged:
    """Join concepts, give every item its split, and leave out what would leak.

    Args:
        items: with `concept` as their part gave it, such as `emoji:1f34e` or `stamp:animals/birds/duck`; what stands before
            the colon is its kind.
        names: of the emoji.
        alike: ids of items whose pictures show the same drawing.
        seed: another one gives another split.
    """
    own = {item.id: item.concept for item in items}
    pairs = sorted({(own[one], own[other]) for one, other in alike if own[one] != own[other]})
    by_kind: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_kind[item.concept.partition(":")[0]].append(item)
    placing = Placing(names, pairs, seed)
    placing.emoji(by_kind.pop(EMOJI, []))
    for kind in FIRST[1:]:
        placing.others(by_kind.pop(kind, []))
    first = [_placed(item, placing) for item in items if item.concept in placing.root_of]
    first, dropped = drop(first, held_names(first))
    found = {item.id: item for item in first}
    for kind in sorted(by_kind):
        placing.others(by_kind[kind])
        later, number = _without_clashes(by_kind[kind], placing, list(found.values()))
        dropped += number
        found |= {item.id: item for item in later}
    quarantine = [
        Quarantined(item.source, item.id, placing.left_out[item.concept]) for item in items if item.id not in found
    ]
    return Arranged(
        tuple(found[item.id] for item in items if item.id in found),
        tuple(quarantine),
        {**placing.report(), "left_out_between_splits": len(quarantine), "captions_dropped": dropped},
    )


def _placed(item: Item, placing: Placing) -> Item:
    root = placing.root_of[item.concept]
    return replace(item, concept=root, split=placing.split_of[root])


def _without_clashes(items: Sequence[Item], placing: Placing, before: Sequence[Item]) -> tuple[list[Item], int]:
    """Give the placed items of a later kind that say nothing held out in training, nor are held out and said there."""
    trained = {
        said(caption)
        for captions in {id(item.captions): item.captions for item in before if item.split == "train"}.values()
        for caption in captions
    }
    for item in items:
        held = placing.split_of.get(placing.root_of.get(item.concept, ""), "") in HELD
        if held and any(said(caption) in trained for caption in item.captions if caption.kind in TEXT_KINDS):
            placing.leave_out(item.concept, "its name is a caption of a training item of another part")
    kept = [_placed(item, placing) for item in items if item.concept in placing.root_of]
    return drop(kept, held_names([*before, *kept]))
