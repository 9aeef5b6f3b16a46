"""Scenes: two to five things of one split and one source on white, with sentences, and with questions whose answers are true.

    what     which thing is furthest left, right, up or down       answer: its name
    count    how often a thing appears; how many things there are  answer: a number in digits; the second only where no name
                                                                   joins two things ("bow and arrow")
    colour   the main colour of a thing                            answer: one of eleven, only where one clearly dominates,
                                                                   and never of a thing whose name holds a colour
    where    left or right of another thing, above or below it     answer: the side

Sentences list the things ("in the picture: 2 × dog, car") and tell them in order ("from left to right: dog, car, dog"), in
every language of grammar.json that has scenes. Things are animals, plants, food, places, activities and objects: faces,
people, signs and clock faces are too alike, arrows point elsewhere than they lie. What is called by a plural stays out: three
books drawn as one thing are hard to count. Two things of a scene are of two concepts, and neither name holds the other in any
language. OpenMoji takes no part, so that it can be held out as a drawing set.

Each scene has a chance of its own, drawn from the seed, its split and its number; the order of the items does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.colours import main_colour
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.grammar import COLOURS, SceneGrammar, grammars, plain_names, scene_languages
from crossbit.data.picto.layout import Box, furthest, in_a_row, placed
from crossbit.data.picto.licences import strictest
from crossbit.data.picto.names import Names
from crossbit.data.picto.part import Part, Quarantined
from crossbit.data.picto.wording import normal, words
from crossbit.errors import MediaError
from crossbit.media.image import load_image
from crossbit.media.resize import resize
from crossbit.media.write import write_png

SOURCE = "scenes"
SOURCES = ("noto", "twemoji", "fluent-flat", "fluent-3d", "stamps")
SCENES: Mapping[str, int] = {"train": 3000, "val": 300, "test": 600}
CANVAS = 256
GROUPS = frozenset({"animals-nature", "food-drink", "travel-places", "activities", "objects"})
SUBGROUPS_LEFT_OUT = frozenset({"time"})
_COUNTS = ((1, 1), (1, 1, 1), (2, 1), (1, 1, 1, 1), (2, 1, 1), (3, 1), (2, 2), (1, 1, 1, 1, 1), (2, 1, 1, 1), (2, 2, 1))
_SIDES = {2: (72, 116), 3: (68, 104), 4: (64, 92), 5: (56, 80)}
_FEWEST = 8
"""Things that a source must have in a split, or its scenes would repeat one another."""
_PAPER = 250
_JOINING = frozenset({"and", "with", "in", "on"})
_COLOUR_WORDS = frozenset({*COLOURS, "gray", "dark", "light", "golden", "gold", "silver", "rainbow", "blond"})


@dataclass(frozen=True)
class Thing:
    """What can stand in a scene: a picture cut to its ink, its names and its colour."""

    item: Item
    names: Mapping[str, str]
    picture: UInt8[np.ndarray, "H W 3"]
    colour: str | None


@dataclass(frozen=True)
class Placed:
    """A thing at its place."""

    thing: Thing
    box: Box


def build(
    folder: Path, names: Names, items: Sequence[Item], *, seed: int = 0, progress: bool = True, workers: int = 2
) -> Part:
    """Make the scenes below `folder`; pictures that lie there are kept.

    Args:
        folder: of the prepared data, which holds the drawings and stamps too.
        names: not used; the names are those that the items carry, after what the split has taken from them.
        items: drawings and stamps with their split; no scene joins things of two splits.
        seed: another seed gives other scenes.
        progress: show a bar.
        workers: so many pictures are made at a time.
    """
    made: list[Item] = []
    quarantine: list[Quarantined] = []
    for split, count in SCENES.items():
        known = named_items([item for item in items if item.split == split])
        sources = [source for source in SOURCES if len(known.get(source, ())) >= _FEWEST]
        for source in SOURCES:
            if source not in sources:
                quarantine.append(Quarantined(SOURCE, f"{source} {split}", f"fewer than {_FEWEST} things to place"))
        for place, source in enumerate(sources):
            things, left_out = _things(folder, known[source])
            quarantine += left_out
            numbers = range(place, count, len(sources))
            (folder / SOURCE / split).mkdir(parents=True, exist_ok=True)
            scenes = in_parallel(
                lambda number, split=split, things=things: _make(folder, things, split, number, seed),  # type: ignore[misc]
                list(numbers),
                f"make scenes of {split}, {source}",
                progress,
                workers,
            )
            for number, scene in zip(numbers, scenes, strict=True):
                if scene is None:
                    quarantine.append(Quarantined(SOURCE, f"{source} {split} {number}", "all things are called alike"))
                else:
                    made.append(scene)
    return Part(tuple(sorted(made, key=lambda item: item.id)), tuple(quarantine))


def named_items(items: Sequence[Item]) -> dict[str, list[tuple[Item, dict[str, str]]]]:
    """Give by source the items that may stand in a scene, with their names in every language, in the order of their ids.

    A stamp has sentences and no names. It takes the names of the emoji that is of the same concept and is called in English
    what the stamp is called; without one it takes no part.
    """
    languages = scene_languages()
    by_source: dict[str, list[tuple[Item, dict[str, str]]]] = {}
    by_name: dict[tuple[str, str], dict[str, str]] = {}
    for item in sorted(items, key=lambda item: item.id):
        if item.source in SOURCES and item.source != "stamps" and _fits(item):
            names = plain_names(item, languages)
            if names is not None and _is_one(names["en"]):
                by_source.setdefault(item.source, []).append((item, names))
                by_name.setdefault((item.concept, normal(names["en"])), names)
    for item in sorted(items, key=lambda item: item.id):
        if item.source == "stamps":
            keys = sorted((item.concept, normal(c.text, digits=False)) for c in item.captions if c.lang == "en")
            if key := next((key for key in keys if key in by_name), None):
                by_source.setdefault("stamps", []).append((item, by_name[key]))
    return by_source


def _fits(item: Item) -> bool:
    labels = dict(label.split(":", 1) for label in item.labels if label.startswith(("group:", "subgroup:")))
    return labels.get("group") in GROUPS and labels.get("subgroup") not in SUBGROUPS_LEFT_OUT


def _is_one(name: str) -> bool:
    """Say whether an English name is no plural, as far as its letters tell."""
    return " ".join(words(name)) == " ".join(name.casefold().replace("-", " ").split())


def _things(folder: Path, known: Sequence[tuple[Item, Mapping[str, str]]]) -> tuple[list[Thing], list[Quarantined]]:
    things, quarantine = [], []
    for item, names in known:
        try:
            picture = cut(load_image(folder / item.path, size=CANVAS))
        except MediaError:
            quarantine.append(Quarantined(SOURCE, item.id, "its picture cannot be read"))
            continue
        if not 0.2 <= picture.shape[1] / picture.shape[0] <= 5:
            quarantine.append(Quarantined(SOURCE, item.id, "its picture is five times as long as wide, or blank"))
            continue
        colour = None if _COLOUR_WORDS & set(words(names["en"])) else main_colour(picture)
        things.append(Thing(item, names, picture, colour))
    return things, quarantine


def cut(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Cut a picture to its ink; one that is blank comes back as a single row."""
    inked = picture.min(axis=2) < _PAPER
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if len(rows) == 0:
        return picture[:1]
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _make(folder: Path, things: Sequence[Thing], split: str, number: int, seed: int) -> Item | None:
    digest = hashlib.sha256(f"{seed}/{split}/{number}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    scene = thrown(things, generator)
    if not scene:
        return None
    # named after what lies where, so that a picture of another seed or other drawings is never taken for this one
    content = ";".join(f"{one.thing.item.id} {one.box}" for one in scene)
    path = f"{SOURCE}/{split}/{number:04d}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.png"
    if not (folder / path).is_file():
        write_png(drawn(scene), folder / path)
    members = [one.thing.item for one in scene]
    return Item(
        id=f"{SOURCE}-{split}-{number:04d}",
        path=path,
        captions=tuple(_sentences(scene)),
        labels=tuple(sorted({label for member in members for label in member.labels})),
        split=split,
        concept="+".join(sorted({member.concept for member in members})),
        source=SOURCE,
        licence=strictest(member.licence for member in members),
        metadata={
            "canvas": [CANVAS, CANVAS],
            "drawings": members[0].source,
            "things": [_record(one) for one in scene],
            "questions": list(_questions(scene, generator)),
        },
    )


def thrown(things: Sequence[Thing], generator: np.random.Generator) -> tuple[Placed, ...]:
    """Choose things that cannot be mistaken for one another, how often each stands there, and where; none of fewer than two."""
    counts = _COUNTS[int(generator.integers(len(_COUNTS)))]
    chosen: list[Thing] = []
    for place in generator.permutation(len(things)).tolist():
        if len(chosen) < len(counts) and not any(_alike(things[place], other) for other in chosen):
            chosen.append(things[place])
    if len(chosen) < 2:
        return ()
    copies = [thing for thing, count in zip(chosen, counts, strict=False) for _ in range(count)]
    ratios = [thing.picture.shape[1] / thing.picture.shape[0] for thing in copies]
    boxes = placed(ratios, CANVAS, _SIDES[len(copies)], generator)
    return tuple(Placed(thing, box) for thing, box in zip(copies, boxes, strict=True))


def _alike(one: Thing, other: Thing) -> bool:
    if one.item.concept == other.item.concept:
        return True
    pairs = ((one.names[lang].casefold(), other.names[lang].casefold()) for lang in one.names)
    return any(a in b or b in a for a, b in pairs)


def drawn(scene: Sequence[Placed]) -> UInt8[np.ndarray, "edge edge 3"]:
    """Draw a scene on white."""
    canvas = np.full((CANVAS, CANVAS, 3), 255, np.uint8)
    for one in scene:
        box = one.box
        canvas[box.top : box.bottom, box.left : box.right] = resize(
            one.thing.picture, box.bottom - box.top, box.right - box.left
        )
    return canvas


def _record(one: Placed) -> dict[str, Any]:
    box = one.box
    return {
        "item": one.thing.item.id,
        "name": one.thing.names["en"],
        "concept": one.thing.item.concept,
        "box": [box.left, box.top, box.right, box.bottom],
    }


def _sentences(scene: Sequence[Placed]) -> Iterator[Caption]:
    boxes = [one.box for one in scene]
    rows = {kind: in_a_row(boxes, axis) for axis, kind in enumerate(("across", "down"))}
    for lang in scene_languages():
        grammar = _grammar(lang)
        yield Caption(grammar.tell("list", list(_counted(scene, lang).items())), lang, "sentence")
        for kind, order in rows.items():
            if order:
                yield Caption(grammar.tell(kind, [(scene[i].thing.names[lang], 1) for i in order]), lang, "sentence")


def _questions(scene: Sequence[Placed], generator: np.random.Generator) -> Iterator[dict[str, str]]:
    """Ask one question of each kind that the scene allows, and two for counting, each in every language."""
    boxes = [one.box for one in scene]
    single = [place for place, one in enumerate(scene) if _counted(scene, "en")[one.thing.names["en"]] == 1]
    sides = [
        (kind, a, b, answer)
        for kind, ask, yes, no in (
            ("where-across", Box.is_left_of, "left", "right"),
            ("where-down", Box.is_above, "above", "below"),
        )
        for a in single
        for b in single
        for answer in ((yes,) if ask(boxes[a], boxes[b]) else (no,) if ask(boxes[b], boxes[a]) else ())
    ]
    extremes = sorted(furthest(boxes).items())
    coloured = [place for place, one in enumerate(scene) if one.thing.colour]
    edge = _one_of(extremes, generator)
    side = _one_of(sides, generator)
    painted = _one_of(coloured, generator)
    countable = not any(_JOINING & set(words(one.thing.names["en"])) for one in scene)
    counted = int(generator.integers(len(scene)))
    for lang in scene_languages():
        grammar = _grammar(lang)
        called = [one.thing.names[lang] for one in scene]

        def asked(kind: str, question: str, answer: str, lang: str = lang) -> dict[str, str]:
            return {"kind": kind, "lang": lang, "question": question, "answer": answer}

        if edge:
            yield asked("what", grammar.what[edge[0]], called[edge[1]])
        yield asked("count", grammar.ask("count", a=called[counted]), str(called.count(called[counted])))
        if countable:
            yield asked("count", grammar.ask("total"), str(len(scene)))
        if painted is not None:
            colour = scene[painted].thing.colour or ""
            yield asked("colour", grammar.ask("colour", a=called[painted]), grammar.colours[colour])
        if side:
            kind, a, b, answer = side
            yield asked("where", grammar.ask(kind, a=called[a], b=called[b]), grammar.answers[answer])


def _one_of(choices: Sequence[Any], generator: np.random.Generator) -> Any:
    return choices[int(generator.integers(len(choices)))] if choices else None


def _counted(scene: Sequence[Placed], lang: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in scene:
        name = one.thing.names[lang]
        counts[name] = counts.get(name, 0) + 1
    return counts


def _grammar(lang: str) -> SceneGrammar:
    grammar = grammars()[lang].scenes
    assert grammar is not None
    return grammar
