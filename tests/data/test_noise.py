"""Noise on purpose: tiny manifests worked by hand, and properties that hold for every manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.noise import Noise, apply, make_noise
from crossbit.data.noise_generators import GENERATORS
from crossbit.errors import ConfigError, FingerprintError, ManifestError, UsageError

SPLITS = ("train", "train", "train", "val", "test")
WHAT = {
    "apple": ("group:food", "subgroup:fruit"),
    "pear": ("group:food", "subgroup:fruit"),
    "soup": ("group:food", "subgroup:dish"),
    "stew": ("group:food", "subgroup:dish"),
    "dog": ("group:animal", "subgroup:mammal"),
    "cat": ("group:animal", "subgroup:mammal"),
    "trout": ("group:animal", "subgroup:fish"),
    "salmon": ("group:animal", "subgroup:fish"),
    "car": ("group:travel", "subgroup:road"),
    "bus": ("group:travel", "subgroup:road"),
}
HANDS = ("noto", "twemoji")


def manifest(split: str = "train", languages: tuple[str, ...] = ("en", "de")) -> Manifest:
    """Ten concepts drawn by two hands, a name and keywords in each language, and as many in each other split."""
    items = []
    for part in dict.fromkeys(("train", "val", "test", split)):
        for name, labels in WHAT.items():
            concept = name if part == "train" else f"{part} {name}"
            for hand in HANDS:
                captions = []
                for language in languages:
                    captions.append(Caption(f"little {concept} {language}", language, "name"))
                    captions.append(Caption(f"{concept} {language}, {labels[1][9:]} {language}", language, "keywords"))
                items.append(
                    Item(
                        f"{hand}/{concept}",
                        f"{hand}/{concept}.png",
                        captions=tuple(captions),
                        labels=labels,
                        split=part,
                        concept=f"c:{concept}",
                        source=hand,
                    )
                )
    return Manifest("tiny", Path("/nowhere"), tuple(items))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Items of several concepts, groups, kinds and languages, in all splits, with names that may coincide."""
    items = []
    for number in range(draw(st.integers(8, 24))):
        concept = draw(st.integers(0, 7))
        captions = [
            Caption(f"{draw(st.sampled_from(['red', 'big', 'old']))} thing{concept} {place}", language, kind)
            for place, (language, kind) in enumerate(
                draw(
                    st.lists(
                        st.tuples(st.sampled_from(["en", "de"]), st.sampled_from(["name", "keywords"])),
                        min_size=1,
                        max_size=4,
                    )
                )
            )
        ]
        items.append(
            Item(
                str(number),
                f"{number}.png",
                captions=tuple(captions),
                labels=(f"group:{concept % 3}",),
                split=draw(st.sampled_from(SPLITS)) if number > 3 else "train",
                concept=str(concept),
            )
        )
    return Manifest("drawn", Path("/nowhere"), tuple(items))


def concepts_of(noisy: Manifest) -> dict[str, set[str]]:
    return {item.id: {caption.text for caption in item.captions} for item in noisy if item.split == "train"}


def every_noise(data: Manifest, ratio: float, seed: int) -> list[Noise]:
    made = []
    for name, generator in GENERATORS.items():
        if name == "head-noun":
            continue
        for unit in generator.units:
            try:
                made.append(make_noise(data, generator.kind, ratio, unit, seed, generator=name))
            except ManifestError as error:
                if "no training" not in str(error):  # too little data for this one, said aloud
                    raise
    return made


@settings(max_examples=25, deadline=None)
@given(manifests(), st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(0, 5))
def test_what_holds_for_every_generator(data: Manifest, ratio: float, seed: int) -> None:
    for noise in every_noise(data, ratio, seed):
        noisy = apply(noise, data)
        assert [i for i in noisy if i.split != "train"] == [i for i in data if i.split != "train"]
        assert [replace(i, captions=()) for i in noisy] == [replace(i, captions=()) for i in data]
        for before, after in zip(data, noisy, strict=True):
            assert [(c.lang, c.kind) for c in before.captions] == [(c.lang, c.kind) for c in after.captions]
        truth = noise.truth(data)
        pairs = [(i, c) for i in data if i.split == "train" for c in i.captions]
        now = [c for i in noisy if i.split == "train" for c in i.captions]
        assert len(truth) == len(pairs) == len(now) == noise.captions
        # the truth is what a person would say who sees which texts each concept has
        right: dict[str, set[str]] = {}
        for item, caption in pairs:
            right.setdefault(item.concept, set()).add(caption.text.casefold())
        said = [c.text.casefold() not in right[i.concept] for (i, _), c in zip(pairs, now, strict=True)]
        assert truth.tolist() == said
        assert noise.realised == pytest.approx(truth.mean())
        units = len(pairs) if noise.unit == "caption" else noise.images
        realised = noise.realised if noise.unit == "caption" else noise.realised_images
        assert realised * units <= round(ratio * units) + 1e-9
        if noise.generator not in ("ncr", "decl"):
            assert all(pair.kind == noise.kind for pair in noise.pairs)  # no fixed points
        sources = {item.id: item for item in data}
        for pair in noise.pairs:
            assert sources[pair.source].split == "train"
        assert make_noise(data, noise.kind, ratio, noise.unit, seed, generator=noise.generator) == noise


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([0.1, 0.4, 0.8, 1.0]), st.integers(0, 50), st.sampled_from(["caption", "image"]))
def test_complete_noise_is_a_shuffle_among_the_unrelated(ratio: float, seed: int, unit: str) -> None:
    data = manifest()
    noise = make_noise(data, "complete", ratio, unit, seed)  # type: ignore[arg-type]
    assert noise.realised == pytest.approx(ratio)
    by_id = {item.id: item for item in data}
    for pair in noise.pairs:
        here, there = by_id[pair.item], by_id[pair.source]
        assert set(here.labels).isdisjoint(there.labels)
        spoken = [c for c in there.captions if c.lang == pair.lang]
        assert spoken[pair.source_place].text == pair.text
        assert next(c.kind for c in there.captions if c.text == pair.text) == next(
            c.kind for c in here.captions if c.text == pair.was
        )


def test_at_small_ratios_every_caption_is_still_there_once() -> None:
    data = manifest()
    noisy = apply(make_noise(data, "complete", 0.5, seed=3), data)
    assert Counter(c.text for i in noisy for c in i.captions) == Counter(c.text for i in data for c in i.captions)


def test_a_smaller_ratio_is_part_of_a_larger_one() -> None:
    data = manifest()
    for name, generator in GENERATORS.items():
        if name == "head-noun":
            continue
        some, more = (
            {(p.item, p.lang, p.place) for p in make_noise(data, generator.kind, ratio, seed=1, generator=name).pairs}
            for ratio in (0.2, 0.6)
        )
        assert some
        assert some < more


def test_subgroups_give_captions_of_kin_and_of_kin_alone() -> None:
    data = manifest()
    noise = make_noise(data, "partial", 1.0, generator="subgroup")
    assert noise.realised == 1.0
    by_id = {item.id: item for item in data}
    for pair in noise.pairs:
        assert by_id[pair.item].labels == by_id[pair.source].labels
        assert by_id[pair.item].concept != by_id[pair.source].concept


def test_a_concept_alone_in_its_subgroup_takes_from_its_group() -> None:
    data = manifest()
    items = tuple(replace(i, labels=("group:food", "subgroup:own")) if i.concept == "c:apple" else i for i in data)
    noise = make_noise(Manifest("own", Path("/nowhere"), items), "partial", 1.0, generator="subgroup")
    sources = {pair.source.partition("/")[2] for pair in noise.pairs if pair.item.endswith("/apple")}
    assert sources
    assert sources <= {"pear", "soup", "stew"}


def test_half_and_head_noun_by_hand() -> None:
    items = [
        Item("1", "1.png", captions=(Caption("red apple", "en", "name"),), split="train"),
        Item("2", "2.png", captions=(Caption("fire engine", "en", "name"),), split="train"),
    ]
    data = Manifest("two", Path("/nowhere"), tuple(items))
    found = {
        tuple(c.text for i in apply(make_noise(data, "partial", 1, seed=s), data) for c in i.captions)
        for s in range(20)
    }
    assert found == {("red engine", "fire apple"), ("red engine", "red engine"), ("fire apple", "fire apple"),
                     ("fire apple", "red engine")}  # fmt: skip
    heads = apply(make_noise(data, "partial", 1, generator="head-noun"), data)
    assert [i.captions[0].text for i in heads] == ["red engine", "fire apple"]


def test_fraction_leaves_half_of_an_image_right() -> None:
    data = manifest()
    noise = make_noise(data, "partial", 0.5, generator="fraction")
    assert noise.unit == "image"
    assert Counter(Counter(pair.item for pair in noise.pairs).values()) == {2: 10}  # of four captions, at ten of twenty
    assert (noise.realised, noise.realised_images) == (0.25, 0.5)


def test_the_published_generators_keep_what_luck_left_right() -> None:
    data = manifest(languages=("en",))
    luck = [make_noise(data, "complete", 1.0, seed=seed, generator="ncr") for seed in range(20)]
    assert all(len(noise.pairs) == noise.captions == 40 for noise in luck)
    stayed = [noise.summary["stayed_right"] for noise in luck]
    # a caption comes back to its own concept (two items of two captions) with chance 4/40, so four of forty do
    assert np.mean(stayed) == pytest.approx(4, abs=1.5)
    assert all(noise.realised == (40 - same) / 40 for noise, same in zip(luck, stayed, strict=True))


def test_per_image_shuffles_move_all_captions_of_an_image_together() -> None:
    noise = make_noise(manifest(), "complete", 0.6, seed=5, generator="decl")
    sources: dict[str, set[str]] = {}
    for pair in noise.pairs:
        sources.setdefault(pair.item, set()).add(pair.source)
    assert len(sources) == 12
    assert all(len(found) == 1 for found in sources.values())
    assert Counter(next(iter(found)) for found in sources.values()).keys() == sources.keys()  # a permutation


def test_other_languages_stay_and_the_fingerprint_holds_for_a_part_that_was_read() -> None:
    whole = manifest()
    english = whole.select(languages=("en",))
    noise = make_noise(whole, "complete", 0.5, languages=("en",))
    assert noise == make_noise(english, "complete", 0.5)
    assert apply(noise, whole).select(languages=("en",)).items == apply(noise, english).items
    assert apply(noise, whole).select(languages=("de",)).items == whole.select(languages=("de",)).items
    assert noise.truth(whole).sum() == noise.truth(whole, ("en",)).sum() == len(noise.pairs)
    assert not noise.truth(whole, ("de",)).any()


def test_another_manifest_is_refused() -> None:
    data = manifest()
    noise = make_noise(data, "complete", 0.5)
    changed = Manifest(data.name, data.root, data.items[1:])
    for use in (apply, lambda noise, manifest: noise.truth(manifest)):
        with pytest.raises(FingerprintError, match="was made for the training pairs"):
            use(noise, changed)
    # a noise is no second layer over itself
    with pytest.raises(FingerprintError):
        apply(noise, apply(noise, data))


def test_without_labels_every_other_concept_is_unrelated() -> None:
    data = manifest()
    bare = Manifest("bare", data.root, tuple(replace(item, labels=()) for item in data))
    assert make_noise(bare, "complete", 1.0).realised == 1.0
    with pytest.raises(ManifestError, match="no training item has labels"):
        make_noise(bare, "partial", 0.5, generator="subgroup")


def test_labels_of_one_set_without_groups_all_count() -> None:
    items = tuple(replace(item, labels=item.labels[:1] and (item.labels[0][6:],)) for item in manifest())
    noise = make_noise(Manifest("plain", Path("/nowhere"), items), "complete", 1.0)
    by_id = {item.id: item for item in items}
    assert all(by_id[p.item].labels != by_id[p.source].labels for p in noise.pairs)


def test_what_cannot_be_exchanged_is_stood_in_for() -> None:
    data = manifest(languages=("en",))
    lonely = Item("s", "s.png", captions=(Caption("A sentence.", "en", "sentence"),), split="train")
    noise = make_noise(Manifest("and one", data.root, (*data.items, lonely)), "complete", 40 / 41)
    assert len(noise.pairs) == 40
    assert "s" not in {pair.item for pair in noise.pairs}
    alone = Manifest("alone", data.root, (lonely,))
    with pytest.raises(ManifestError, match="no training caption has another"):
        make_noise(alone, "complete", 1.0)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"ratio": 1.5}, UsageError, "ratio 1.5"),
        ({"kind": "whole"}, UsageError, "kind 'whole'"),
        ({"generator": "ncrr"}, ConfigError, "did you mean `ncr`"),
        ({"generator": "half"}, UsageError, "makes partial noise, complete was asked for"),
        ({"generator": "ncr", "unit": "image"}, UsageError, "exchanges by caption"),
        ({"kind": "partial", "generator": "head-noun"}, UsageError, "English alone"),
        ({"languages": ("xx",)}, ManifestError, "no training caption"),
    ],
)
def test_wrong_use_is_named(options: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        make_noise(manifest(), **{"kind": "complete", "ratio": 0.4, **options})  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_a_manifest_without_training_items_is_named() -> None:
    test = Manifest("none", Path("/nowhere"), tuple(i for i in manifest() if i.split == "test"))
    with pytest.raises(ManifestError, match="no items in split 'train'"):
        make_noise(test)
