"""Joining and splitting: hand-made emoji, stamps and clip art, and a search for leaks that can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.concepts import Arranged, arrange
from crossbit.data.picto.names import Entry, Names
from crossbit.data.picto.placing import Union
from crossbit.data.picto.saying import drop, held_names, said
from data.picto.leaks import leaks

_TEXT = (
    "apple bear cat duck egg fox goat hat ice jar kite lamp moon nut owl pen queen rose sun tree urn van web yak zebra "
    "ant bus cup dog ear fan gun hen ink jet key log map net oar pot rug saw tie vase wig yew zoo arm bag"
)
WORDS = _TEXT.split()


def emoji_names(words: list[str]) -> Names:
    """One emoji a word; groups of ten."""
    entries = {chr(0x1F400 + n): Entry(chr(0x1F400 + n), n, f"group{n // 10}", "x", ()) for n in range(len(words))}
    english = dict(zip(entries, words, strict=True))
    return Names(entries, {"en": english, "de": {emoji: f"{word}chen" for emoji, word in english.items()}}, {})


NAMES = emoji_names(WORDS)


def drawings(names: Names, sets: tuple[str, ...] = ("noto", "twemoji")) -> list[Item]:
    return [
        Item(
            id=f"{source}-{ord(emoji):x}",
            path=f"{source}/{ord(emoji):x}.png",
            captions=names.captions(emoji),
            concept=names.concept(emoji),
            source=source,
            metadata={"emoji": emoji},
        )
        for source in sets
        for emoji in names
    ]


def stamp(key: str, sentence: str, **more: str) -> Item:
    captions = (Caption(sentence, "en", "sentence"), *(Caption(text, lang, "sentence") for lang, text in more.items()))
    return Item(id=f"stamps-{key}", path=f"{key}.png", captions=captions, concept=f"stamp:{key}", source="stamps")


def clip_art(title: str, name: str = "") -> Item:
    key = name or title
    return Item(
        id=f"clipart-{key}",
        path=f"{key}.png",
        captions=(Caption(title, "en", "name"),),
        concept=f"clipart:{key}",
        source="clipart",
    )


def split_of(arranged: Arranged, identifier: str) -> str:
    return next((item.split for item in arranged.items if item.id == identifier), "left out")


def concept_of(arranged: Arranged, identifier: str) -> str:
    return next(item.concept for item in arranged.items if item.id == identifier)


def word_in(split: str, place: int = 0) -> str:
    """A word whose emoji lies in a split when there is nothing else."""
    arranged = arrange(drawings(NAMES), NAMES, [])
    found = sorted({item.captions[0].text for item in arranged.items if item.split == split})
    return found[place]


def drawing_of(word: str, source: str = "noto") -> str:
    return f"{source}-{ord(NAMES.lookup(word) or ''):x}"


def test_shares_are_kept_within_groups() -> None:
    arranged = arrange(drawings(NAMES), NAMES, [])
    counts = {split: sum(item.split == split for item in arranged.items) // 2 for split in ("train", "val", "test")}
    assert sum(counts.values()) == len(WORDS) == 50
    assert counts["train"] == pytest.approx(0.7 * 50, abs=1)
    assert counts["test"] == pytest.approx(0.2 * 50, abs=1)
    for group in range(5):
        in_group = [
            i for i in arranged.items if i.source == "noto" and NAMES.group(i.metadata["emoji"]) == f"group{group}"
        ]
        assert sum(item.split == "train" for item in in_group) in (6, 7, 8)


def test_both_drawings_of_an_emoji_lie_in_one_split_and_look_alikes_too() -> None:
    a, b = word_in("train"), word_in("test")
    arranged = arrange(drawings(NAMES), NAMES, [(drawing_of(a), drawing_of(b, "twemoji"))])
    found = {split_of(arranged, drawing_of(word, source)) for word in (a, b) for source in ("noto", "twemoji")}
    assert len(found) == 1
    assert concept_of(arranged, drawing_of(a)) == concept_of(arranged, drawing_of(b))
    assert arranged.report["emoji"]["joined"] == 2


def test_one_english_name_joins() -> None:
    names = emoji_names(["eye", "eyes", "The Eye", "nose"])
    arranged = arrange(drawings(names), names, [])
    assert len({item.concept for item in arranged.items}) == 2
    assert arranged.report["emoji"]["largest"] == [{"concepts": 3, "name": "eye"}]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_stamp_that_is_called_like_an_emoji_goes_with_it(split: str) -> None:
    word = word_in(split)
    by_stem, by_sentence = stamp(f"things/{word}_2", "Something."), stamp("things/x", f"The {word}s.")
    by_title = clip_art(f"{word.upper()} 03")
    arranged = arrange([*drawings(NAMES), by_stem, by_sentence, by_title], NAMES, [])
    for item in (by_stem, by_sentence, by_title):
        assert split_of(arranged, item.id) == split
        assert concept_of(arranged, item.id) == concept_of(arranged, drawing_of(word))


def test_a_stamp_that_looks_like_a_drawing_goes_with_it() -> None:
    item = stamp("things/x", "Something.")
    arranged = arrange([*drawings(NAMES), item], NAMES, [(item.id, drawing_of(word_in("test")))])
    assert split_of(arranged, item.id) == "test"


def test_words_lead_to_test_before_val() -> None:
    test, val, train = word_in("test"), word_in("val"), word_in("train")
    items = [
        stamp("things/a", f"Somebody with a {val} and two {test}s."),
        stamp("things/b", f"Somebody with a {val} and a {train}."),
        stamp("things/c", f"Somebody with a {test}ish thing."),
    ]
    arranged = arrange([*drawings(NAMES), *items], NAMES, [])
    assert split_of(arranged, items[0].id) == "test"
    assert split_of(arranged, items[1].id) == "val"
    assert concept_of(arranged, items[1].id) == "stamp:things/b"
    assert arranged.report["stamp"]["held_by_words"] == {"test": 1, "val": 1}


def test_what_is_pulled_to_two_splits_is_left_out_and_counted() -> None:
    test, train = word_in("test"), word_in("train")
    looks_trained = stamp("things/a", f"A {test}, seen from behind.")
    looks_both = clip_art("Something")
    pairs = [
        (looks_trained.id, drawing_of(train)),
        (looks_both.id, drawing_of(train)),
        (looks_both.id, drawing_of(test)),
    ]
    arranged = arrange([*drawings(NAMES), looks_trained, looks_both], NAMES, pairs)
    assert split_of(arranged, looks_trained.id) == split_of(arranged, looks_both.id) == "left out"
    assert {record.record for record in arranged.quarantine} == {looks_trained.id, looks_both.id}
    assert arranged.report["left_out_between_splits"] == 2


def test_later_kinds_know_the_names_of_stamps_and_do_not_move_them() -> None:
    named = replace(stamp("a/q", "A gizmo, seen here."), captions=(Caption("gizmo", "en", "name"),))
    test, plain = word_in("test"), stamp("b/thing", f"Blue {word_in('test')}.")
    items = [named, plain, clip_art("Blue", "blue"), clip_art("A gizmo in a box")]
    arranged = arrange([*drawings(NAMES), *items], NAMES, [(named.id, drawing_of(test))])
    assert split_of(arranged, named.id) == split_of(arranged, "clipart-A gizmo in a box") == "test"
    assert arranged.report["clipart"]["held_by_words"] == {"test": 1}


def test_a_later_held_item_that_training_names_is_left_out() -> None:
    """The keyword of a training drawing is the title of clip art that is held out by its hash: the drawing stays as it is."""
    hinted = NAMES.concept(NAMES.lookup(word_in("train")) or "")
    titles = [f"gizmo {letter}" for letter in "abcdefghijklmnopqrst"]
    said = tuple(Caption(title, "en", "keywords") for title in titles)
    drawn = [replace(i, captions=(*i.captions, *said)) if i.concept == hinted else i for i in drawings(NAMES)]
    arranged = arrange([*drawn, *(clip_art(title) for title in titles)], NAMES, [])
    splits = [split_of(arranged, f"clipart-{title}") for title in titles]
    assert set(splits) == {"train", "left out"}
    assert splits.count("left out") == pytest.approx(0.3 * 20, abs=1)
    assert all(set(said) <= set(item.captions) for item in arranged.items if item.concept == hinted)
    assert list(leaks(arranged.items)) == []


def test_other_things_of_one_name_or_look_stay_together() -> None:
    items = [stamp("a/gizmo", "Green."), clip_art("Gizmo 2"), clip_art("Widget"), stamp("b/thing", "Blue.")]
    arranged = arrange([*drawings(NAMES), *items], NAMES, [(items[2].id, items[1].id)])
    assert len({concept_of(arranged, item.id) for item in items[:3]}) == 1
    assert len({split_of(arranged, item.id) for item in items[:3]}) == 1
    assert concept_of(arranged, items[3].id) == "stamp:b/thing"


others = st.lists(
    st.builds(
        lambda kind, number, words: (
            stamp(f"s/{number}", f"A {words}.") if kind else clip_art(words, f"{words} {number}")
        ),
        st.booleans(),
        st.integers(0, 500),
        st.lists(st.sampled_from([*WORDS, "big", "small", "gizmo"]), min_size=1, max_size=3).map(" ".join),
    ),
    max_size=12,
    unique_by=lambda item: item.id,
)
links = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=6)


@settings(max_examples=20, deadline=None)
@given(others, links)
def test_nothing_leaks_and_other_parts_do_not_move_the_emoji(items: list[Item], pairs: list[tuple[int, int]]) -> None:
    plain = arrange(drawings(NAMES), NAMES, [])
    whole = [*drawings(NAMES), *items]
    # look-alikes of stamps and clip art only: those among emoji are the same whatever else is prepared
    alike = [(items[a % len(items)].id, whole[b % len(whole)].id) for a, b in pairs] if items else []
    arranged = arrange(whole, NAMES, alike)
    assert list(leaks(arranged.items)) == []
    splits = {item.id: item.split for item in arranged.items}
    assert {item.id: item.split for item in plain.items}.items() <= splits.items()
    assert all(splits[a] == splits[b] for a, b in alike if a in splits and b in splits)
    assert len(arranged.items) + len(arranged.quarantine) == len(whole)
    first = [item for item in whole if item.source != "clipart"]
    inner = {item.id for item in first}
    without = arrange(first, NAMES, [(a, b) for a, b in alike if a in inner and b in inner])
    assert without.items == tuple(item for item in arranged.items if item.source != "clipart")
    assert {item.id: item.split for item in arrange(whole[::-1], NAMES, alike).items} == splits


@pytest.mark.parametrize(
    "plant",
    [
        lambda test: stamp("x/y", f"A man with a {test}."),
        lambda test: clip_art(f"The {test}"),
        lambda test: Item(id="x", path="x.png", concept="clipart:x", captions=(Caption(f"{test}chen", "de"),)),
        lambda test: Item(id="x", path="x.png", concept=NAMES.concept(NAMES.lookup(test) or "")),
        lambda test: Item(
            id="x", path="x.png", concept=f"{NAMES.concept(NAMES.lookup(test) or '')}+x:y", source="scenes"
        ),
    ],
    ids=["words", "title", "caption", "concept", "member"],
)
def test_a_planted_leak_is_found(plant: object) -> None:
    arranged = arrange(drawings(NAMES), NAMES, [])
    assert callable(plant)
    planted = replace(plant(word_in("test")), split="train")
    assert list(leaks([*arranged.items, planted])) != []


def test_captions_that_say_a_held_name_are_dropped_from_training_alone() -> None:
    shared = (Caption("the cats", "en", "keywords"), Caption("Katze", "de", "keywords"), Caption("Hund", "de", "name"))
    items = [
        Item(id="a", path="a", split="train", captions=shared),
        Item(id="b", path="b", split="train", captions=shared),
        Item(id="c", path="c", split="val", captions=(*shared, Caption("cat", "en", "name"))),
        Item(id="d", path="d", split="test", captions=(Caption("„Katze“.", "de", "sentence"),)),
    ]
    kept, dropped = drop(items, held_names(items))
    assert dropped == 6  # Hund is the name of c
    assert kept[0].captions == ()
    assert kept[0].captions is kept[1].captions
    assert kept[2:] == items[2:]


def test_what_a_caption_says() -> None:
    assert said(Caption("The Cats!", "en")) == ("en", "cat")
    assert said(Caption("„Les  Chats“.", "fr")) == ("fr", "les chats")
    assert said(Caption("बिल्ली।", "hi")) == ("hi", "बिल्ली")
    assert said(Caption("!?", "fr")) == ("fr", "")


def test_union_gives_the_first_name() -> None:
    sets = Union("cabd")
    sets.join("c", "b")
    sets.join("d", "c")
    assert sets.find("d") == "b"
    assert sets.sets() == {"a": ["a"], "b": ["b", "c", "d"]}
