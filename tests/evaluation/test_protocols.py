"""Protocols: who asks, who is searched, what is relevant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crossbit.errors import ConfigError, ManifestError
from crossbit.evaluation import PROTOCOLS, protocol_of
from crossbit.evaluation.protocols import Case
from crossbit.metrics import Relevance
from evaluation import toys


def lists(relevant: Relevance) -> list[list[int]]:
    part = relevant.block(0, relevant.queries)
    return [part.items[a:b].tolist() for a, b in zip(part.offsets, part.offsets[1:], strict=False)]


def texts_of(plan_texts: tuple[str, ...], case: Case) -> list[str]:
    return [plan_texts[row] for row in case.texts]


def test_own_captions_are_relevant_each_language_apart() -> None:
    data = toys.manifest(8)  # test items t0 t2 t4 t6 with 2, 3, 1, 2 captions
    plan = protocol_of("concept-retrieval").plan(data, "test")
    assert [item.id for item in plan.items] == ["t0", "t2", "t4", "t6"]
    assert plan.languages == ("de", "en")
    english = plan.cases[1]
    assert texts_of(plan.texts, english) == [
        "en 0 0", "en 0 1", "en 2 0", "en 2 1", "en 2 2", "en 4 0", "en 6 0", "en 6 1",
    ]  # fmt: skip
    assert lists(english.image_to_text) == [[0, 1], [2, 3, 4], [5], [6, 7]]
    assert lists(english.text_to_image) == [[0], [0], [1], [1], [1], [2], [3], [3]]
    assert english.text_item.tolist() == [0, 0, 1, 1, 1, 2, 3, 3]
    assert english.mirrors


def test_same_concept_is_wider() -> None:
    plan = protocol_of("same-concept").plan(toys.manifest(8), "test", ["en"])  # t0 t2 are c0, t4 t6 are c1
    assert lists(plan.cases[0].text_to_image) == [[0, 1]] * 5 + [[2, 3]] * 3


def test_equal_texts_are_encoded_once() -> None:
    data = toys.manifest(8)
    same = tuple(replace(i, captions=tuple(replace(c, text=f"{c.lang} 1 0") for c in i.captions)) for i in data.items)
    plan = protocol_of("concept-retrieval").plan(replace(data, items=same), "test")
    assert plan.texts == ("de 1 0", "en 1 0")
    assert plan.cases[0].texts.tolist() == [0] * 8
    assert lists(plan.cases[0].text_to_image) == [[0], [0], [1], [1], [1], [2], [3], [3]]


def test_first_five_captions_and_five_folds() -> None:
    data = toys.manifest(40, captions=(7, 1))  # twenty test items, all with seven captions
    whole = protocol_of("coco-5k").plan(data, "test", ["en"])
    assert len(whole.cases[0].texts) == 100
    folds = protocol_of("coco-1k-folds", fold_items=4).plan(data, "test", ["en"])
    assert [case.images.tolist() for case in folds.cases] == [list(range(4 * i, 4 * i + 4)) for i in range(5)]
    assert [len(case.texts) for case in folds.cases] == [20] * 5
    with pytest.raises(ManifestError, match="20 items, protocol 'coco-1k-folds' needs 5 folds of 1000"):
        protocol_of("coco-1k-folds").plan(data, "test")


def test_hashing_searches_the_other_splits_for_common_labels() -> None:
    data = toys.manifest(12)
    plan = protocol_of("hashing").plan(data, "test", ["en"])
    case = plan.cases[0]
    assert [plan.items[row].split for row in case.images] == ["test"] * 6
    assert [plan.items[row].split for row in case.image_gallery] == ["train"] * 6
    assert len(case.texts) == len(case.text_gallery) == 6  # one caption each
    for asked, wanted in zip(case.images, lists(case.image_to_text), strict=True):
        mine = set(plan.items[asked].labels)
        assert wanted == [place for place, row in enumerate(case.image_gallery) if mine & set(plan.items[row].labels)]
    assert not case.mirrors


def test_items_without_captions_in_a_language_stay_in_the_gallery() -> None:
    data = toys.manifest(8)
    items = list(data.items)
    items[2] = replace(items[2], captions=tuple(c for c in items[2].captions if c.lang == "en"))
    plan = protocol_of("concept-retrieval").plan(replace(data, items=tuple(items)), "test", ["de"])
    assert plan.cases[0].images.tolist() == [0, 1, 2, 3]
    assert lists(plan.cases[0].image_to_text) == [[0, 1], [], [2], [3, 4]]


def test_fingerprint_follows_the_rules_and_not_the_words() -> None:
    plain = PROTOCOLS["concept-retrieval"]
    assert replace(plain, about="other words", name="mine").fingerprint == plain.fingerprint
    assert replace(plain, captions_per_item=5).fingerprint != plain.fingerprint
    assert len({protocol.fingerprint for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="no protocol 'coco5k'.*\n\nhint: did you mean 'coco-5k'"):
        protocol_of("coco5k")
    with pytest.raises(ConfigError, match="no rule 'fold'"):
        protocol_of("coco-5k", fold=3)
    with pytest.raises(ManifestError, match="no items in split 'val'"):
        protocol_of("concept-retrieval").plan(toys.manifest(), "val")
    with pytest.raises(ManifestError, match=r"no captions in \['xx'\]"):
        protocol_of("concept-retrieval").plan(toys.manifest(), "test", ["xx"])
    bare = toys.manifest()
    bare = replace(bare, items=tuple(replace(item, labels=()) for item in bare.items))
    with pytest.raises(ManifestError, match="no item has labels"):
        protocol_of("hashing").plan(bare, "test")
