"""Scenes: every answer is looked up once more in the picture or the boxes, by code that shares nothing with the generator."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto import scenes
from crossbit.data.picto.grammar import grammars, scene_languages
from crossbit.data.picto.part import Part
from crossbit.media.image import load_image
from data.picto.made_items import COLOURS, NO_NAMES, WORDS, drawing

SPLITS = dict(zip(WORDS, ["train"] * 6 + ["val"] * 6, strict=True))
COUNTS = {"train": 24, "val": 10, "test": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Item], Part]:
    folder = tmp_path_factory.mktemp("picto")
    items = [
        drawing(folder, word, SPLITS[word], source) for word in WORDS for source in ("noto", "twemoji", "openmoji")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "SCENES", COUNTS)
        patch.setattr(scenes, "_FEWEST", 4)
        part = scenes.build(folder, NO_NAMES, items, seed=0, progress=False)
    return folder, items, part


def boxes_of(item: Item) -> list[tuple[str, tuple[int, int, int, int]]]:
    return [(str(thing["name"]), tuple(thing["box"])) for thing in item.metadata["things"]]


def questions(item: Item, lang: str = "en") -> list[dict[str, Any]]:
    return [question for question in item.metadata["questions"] if question["lang"] == lang]


def test_scenes_are_counted_and_named_by_split(made: tuple[Path, list[Item], Part]) -> None:
    _, _, part = made
    assert Counter(item.split for item in part.items) == {"train": 24, "val": 10}
    assert part.reasons() == {"fewer than 4 things to place": 3 * 3 + 2}  # of test nothing at all was given
    assert len({item.path for item in part.items}) == len(part.items)


def test_the_boxes_hold_what_is_seen_and_nothing_else_is_there(made: tuple[Path, list[Item], Part]) -> None:
    folder, _, part = made
    for item in part.items:
        picture = load_image(folder / item.path)
        assert picture.shape == (256, 256, 3)
        inked = picture.min(axis=2) < 240
        found, number = ndimage.label(ndimage.binary_fill_holes(inked))
        assert number == len(boxes_of(item)) >= 2
        assert number <= 5
        seen = {(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(found)}
        for _, box in boxes_of(item):
            nearest = min(seen, key=lambda other: sum(abs(a - b) for a, b in zip(box, other, strict=True)))
            assert max(abs(a - b) for a, b in zip(box, nearest, strict=True)) <= 2


def test_counts_are_true(made: tuple[Path, list[Item], Part]) -> None:
    asked = 0
    for item in made[2].items:
        names = [name for name, _ in boxes_of(item)]
        for question in questions(item):
            if found := re.fullmatch(r"How many times does “(\w+)” appear\?", question["question"]):
                assert question["answer"] == str(names.count(found[1]))
                asked += 1
            elif question["question"] == "How many things are in the picture?":
                assert question["answer"] == str(len(names))
                asked += 1
    assert asked == 2 * len(made[2].items)


def test_colours_are_true(made: tuple[Path, list[Item], Part]) -> None:
    folder, _, part = made
    asked = 0
    for item in part.items:
        for question in questions(item):
            if found := re.fullmatch(r"What is the main colour of “(\w+)”\?", question["question"]):
                left, top, right, bottom = next(box for name, box in boxes_of(item) if name == found[1])
                crop = load_image(folder / item.path)[top:bottom, left:right].reshape(-1, 3)
                median = np.median(crop[crop.min(axis=1) < 240], axis=0)
                near = min(COLOURS.values(), key=lambda known: float(np.abs(median - known[1]).sum()))
                assert question["answer"] == near[0]
                asked += 1
    assert asked > len(part.items) / 2


def test_places_are_true(made: tuple[Path, list[Item], Part]) -> None:
    seen: Counter[str] = Counter()
    for item in made[2].items:
        boxes = dict(boxes_of(item))
        for question in questions(item):
            if found := re.fullmatch(r"Is “(\w+)” .* of “(\w+)”\?", question["question"]):
                a, b = boxes[found[1]], boxes[found[2]]
                assert (a[2] <= b[0], b[2] <= a[0]) == (question["answer"] == "left", question["answer"] == "right")
                seen[question["answer"]] += 1
            elif found := re.fullmatch(r"Is “(\w+)” above or below “(\w+)”\?", question["question"]):
                a, b = boxes[found[1]], boxes[found[2]]
                assert (a[3] <= b[1], b[3] <= a[1]) == (question["answer"] == "above", question["answer"] == "below")
                seen[question["answer"]] += 1
    assert set(seen) == {"left", "right", "above", "below"}


def test_what_is_furthest_is_true(made: tuple[Path, list[Item], Part]) -> None:
    best = {
        "What is furthest to the left?": lambda box: box[0],
        "What is furthest to the right?": lambda box: -box[2],
        "What is at the very top?": lambda box: box[1],
        "What is at the very bottom?": lambda box: -box[3],
    }
    seen = set()
    for item in made[2].items:
        for question in questions(item):
            if question["kind"] == "what":
                measure = best[question["question"]]
                assert question["answer"] == min(boxes_of(item), key=lambda one: measure(one[1]))[0]
                seen.add(question["question"])
    assert seen == set(best)


def test_sentences_are_true(made: tuple[Path, list[Item], Part]) -> None:
    told: Counter[str] = Counter()
    for item in made[2].items:
        boxes = boxes_of(item)
        for text in (caption.text for caption in item.captions if caption.lang == "en"):
            start, names = text.split(": ")
            said = names.split(", ")
            told[start] += 1
            if start == "in the picture":
                counts = {part.split(" × ")[-1]: int(part.split(" × ")[0]) if " × " in part else 1 for part in said}
                assert counts == Counter(name for name, _ in boxes)
            else:
                axis = {"from left to right": 0, "from top to bottom": 1}[start]
                assert said == [name for name, box in sorted(boxes, key=lambda one: one[1][axis] + one[1][axis + 2])]
    assert told["in the picture"] == len(made[2].items)
    assert told["from left to right"] + told["from top to bottom"] >= len(made[2].items)


def test_every_language_says_and_asks_the_same(made: tuple[Path, list[Item], Part]) -> None:
    for item in made[2].items:
        sentences = Counter(caption.lang for caption in item.captions)
        assert set(sentences) == set(scene_languages())
        assert len(set(sentences.values())) == 1
        english = questions(item)
        for lang in scene_languages():
            grammar = grammars()[lang].scenes
            assert grammar
            theirs = questions(item, lang)
            assert [q["kind"] for q in theirs] == [q["kind"] for q in english]
            for mine, other in zip(english, theirs, strict=True):
                answer = mine["answer"]
                word = answer if lang == "en" else f"{answer}-{lang}"
                expected = {"what": word, "count": answer, "colour": grammar.colours.get(answer)}
                assert other["answer"] == expected.get(mine["kind"], grammar.answers.get(answer))


def test_a_scene_is_of_one_split_and_source_and_openmoji_takes_no_part(made: tuple[Path, list[Item], Part]) -> None:
    sources = set()
    for item in made[2].items:
        members = [str(thing["item"]) for thing in item.metadata["things"]]
        assert {SPLITS[member.rpartition("-")[2]] for member in members} == {item.split}
        assert len({member.rpartition("-")[0] for member in members}) == 1
        assert item.concept == "+".join(sorted({str(thing["concept"]) for thing in item.metadata["things"]}))
        assert len(item.concept.split("+")) >= 2
        sources |= {member.rpartition("-")[0] for member in members}
        assert (item.modality, item.source, item.licence) == ("image", "scenes", "Apache-2.0")
    assert sources == {"noto", "twemoji"}


def test_the_same_seed_gives_the_same_bytes_whatever_the_order(
    made: tuple[Path, list[Item], Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, items, part = made
    monkeypatch.setattr(scenes, "SCENES", COUNTS)
    monkeypatch.setattr(scenes, "_FEWEST", 4)
    for source in ("noto", "twemoji"):
        (tmp_path / source).symlink_to(folder / source)
    again = scenes.build(tmp_path, NO_NAMES, items[::-1], seed=0, progress=False, workers=1)
    assert again.items == part.items
    for item in part.items:
        assert (tmp_path / item.path).read_bytes() == (folder / item.path).read_bytes()
    other = scenes.build(tmp_path, NO_NAMES, items, seed=1, progress=False)
    assert not {item.path for item in other.items} & {item.path for item in part.items}


def test_a_stamp_takes_the_names_of_its_emoji_and_plurals_stay_out(tmp_path: Path) -> None:
    duck = Item(
        "noto-duck", "noto/duck.png", captions=tuple(Caption(f"Duck {lang}", lang, "name") for lang in scene_languages()),
        labels=("group:animals-nature",), concept="emoji:duck", source="noto",
    )  # fmt: skip
    english = replace(duck, captions=(Caption("duck", "en", "name"), *(c for c in duck.captions if c.lang != "en")))
    stamp = Item("stamps-duck", "stamps/duck.png", captions=(Caption("A duck.", "en", "sentence"),),
                 concept="emoji:duck", source="stamps")  # fmt: skip
    other = replace(stamp, id="stamps-bird", captions=(Caption("A bird.", "en", "sentence"),))
    apart = replace(stamp, id="stamps-apart", concept="stamp:duck")
    books = replace(english, id="noto-books", captions=(Caption("books", "en", "name"), *english.captions[1:]))
    face = replace(english, id="noto-face", labels=("group:smileys-emotion",))
    clock = replace(english, id="noto-clock", labels=("group:travel-places", "subgroup:time"))
    found = scenes.named_items([stamp, other, apart, books, face, clock, english])
    assert [item.id for item, _ in found["noto"]] == ["noto-duck"]
    assert [(item.id, names["de"]) for item, names in found["stamps"]] == [("stamps-duck", "Duck de")]


def test_things_that_could_be_mistaken_do_not_meet(tmp_path: Path) -> None:
    def thing(concept: str, **names: str) -> scenes.Thing:
        return scenes.Thing(Item(concept, "", concept=concept), names, np.zeros((60, 60, 3), np.uint8), None)

    generator = np.random.default_rng(0)
    assert (
        scenes.thrown([thing("cat", en="cat", de="Katze"), thing("black", en="Black cat", de="Kater")], generator) == ()
    )
    assert scenes.thrown([thing("a", en="sea", de="See"), thing("b", en="lake", de="See")], generator) == ()
    assert len(scenes.thrown([thing("a", en="sea", de="Meer"), thing("b", en="lake", de="See")], generator)) >= 2


def test_what_cannot_be_drawn_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SCENES", {"train": 4})
    monkeypatch.setattr(scenes, "_FEWEST", 4)
    items = [drawing(tmp_path, word, "train") for word in WORDS[:6]]
    (tmp_path / items[0].path).write_bytes(b"\x89PNG\r\n\x1a\n")
    part = scenes.build(tmp_path, NO_NAMES, items, progress=False)
    assert part.reasons()["its picture cannot be read"] == 1
    assert len(part.items) == 4
    assert not any(items[0].concept in item.concept.split("+") for item in part.items)
