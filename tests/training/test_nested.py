"""Training of nested heads on a toy world: what is learnt, what repeats, and what each piece of the material is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossbit.batch import Encoded
from crossbit.data.manifest import Caption, Item
from crossbit.methods.nested import Nested, NestedConfig
from crossbit.training.nested import Recipe, after_the_heads, nested_rotations, train_nested
from crossbit.training.nested_data import (
    Classes,
    Material,
    Photographs,
    as_sentence,
    babble,
    captions_of,
    class_words,
    nothing,
    noun_masks,
)

CONFIG = NestedConfig(width=18, bits=32, shortest=16, hidden=16, pairs=2, top=3, classes=6, opinion=0.1)
RECIPE = Recipe(epochs=60, batch=32, code_steps=240, learning_rate=5e-3)


def world(seed: int = 0) -> Material:
    """Make 64 drawings of 16 things, whose words are a fixed turn of what the drawings look like, and six classes."""
    generator = np.random.default_rng(seed)
    things = generator.normal(size=(16, 24)).astype(np.float32)
    turn = np.linalg.qr(generator.normal(size=(24, 24)))[0].astype(np.float32)
    concepts = np.repeat(np.arange(16), 4)
    pictures = 3.0 + 0.3 * (things[concepts] + 0.2 * generator.normal(size=(64, 24))).astype(np.float32)
    words = (things @ turn)[:, :12] + 3.0
    weight = generator.normal(size=(6, 24)).astype(np.float32)
    names = (weight @ turn)[:, :12] + 3.0
    rows = np.concatenate([names, names, names]).astype(np.float32)
    named = tuple((row, row + 6, row + 12) for row in range(6))
    classes = Classes(weight, -3 * weight.sum(1), named, ((0, (0, 1)), (3, (3,))), tuple(map(str, range(18))))
    captions = tuple({"en": (int(thing),)} for thing in concepts)
    nothing = np.full((20, 24), 5.0, np.float32) + generator.normal(size=(20, 24)).astype(np.float32) * 0.1
    babble = -3.0 + generator.normal(size=(20, 12)).astype(np.float32) * 0.1
    return Material(pictures, concepts, captions, words.astype(np.float32), classes, rows, nothing, babble)


def view(modality: str, pooled: np.ndarray) -> Encoded:
    rows = torch.from_numpy(pooled)
    return Encoded(modality, rows[:, None], torch.ones(len(rows), 1, dtype=torch.bool), rows)  # type: ignore[arg-type]


def test_drawings_and_names_find_each_other_and_nothing_finds_none() -> None:
    material = world()
    method = train_nested(material, RECIPE, CONFIG, progress=False)
    with torch.no_grad():
        seen, read = method.embed(view("image", material.pictures)), method.embed(view("text", material.words))
        empty, noise = method.embed(view("image", material.nothing)), method.embed(view("text", material.babble))
        bits = [
            torch.sign(method.relax(view(*pair))) for pair in (("image", material.pictures), ("text", material.words))
        ]
    found = (seen @ read.T).argmax(1).numpy()
    assert (found == material.concepts).mean() > 0.9
    assert ((bits[0] @ bits[1].T).argmax(1).numpy() == material.concepts).mean() > 0.6
    right = (seen * read[material.concepts]).sum(1).median()
    assert (empty @ read.T).max() < 0.5 * right
    assert (seen @ noise.T).max() < 0.5 * right


def test_the_same_seed_gives_the_same_bits_and_another_one_others() -> None:
    material, short = world(), Recipe(epochs=2, batch=32, code_steps=20)
    states = [train_nested(material, short, CONFIG, progress=False).state_dict() for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    other = train_nested(material, Recipe(epochs=2, batch=32, code_steps=20, seed=1), CONFIG, progress=False)
    assert not torch.equal(other.state_dict()["fold"], states[0]["fold"])


def test_what_follows_the_heads_can_be_made_again_from_the_heads_as_they_ship() -> None:
    material, short = world(), Recipe(epochs=2, batch=32, code_steps=20)
    whole = train_nested(material, short, CONFIG, progress=False).state_dict()
    torch.manual_seed(short.seed)
    again = Nested(CONFIG, {"image": (1, 24), "text": (1, 12)})
    made_before = ("image.", "text.", "log_scale", "standardise", "names", "centre", "weight", "bias")
    again.load_state_dict({k: v for k, v in whole.items() if k.startswith(made_before)}, strict=False)
    found = after_the_heads(again, material, short, progress=False).state_dict()
    assert [name for name in whole if not torch.equal(whole[name], found[name])] == []
    assert torch.equal(whole["names"], whole["names"].half().float())  # rounded, as they ship


@pytest.mark.parametrize(
    "left_out", [{"photographs": 0.0}, {"nouns": False}, {"drawings": False}, {"blind": 0.0}, {"code_steps": 0}]
)
def test_parts_can_be_left_out(left_out: dict[str, float | bool]) -> None:
    recipe = replace(Recipe(epochs=1, batch=32, code_steps=2), **left_out)  # type: ignore[arg-type]
    method = train_nested(world(), recipe, CONFIG, progress=False)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def test_ten_steps_are_no_special_case() -> None:
    """A tenth of ten steps is one, which leaves a rise of none to the pace of learning."""
    method = train_nested(world(), Recipe(epochs=1, batch=7, code_steps=2), CONFIG, progress=False)
    assert torch.isfinite(method.fold).all()


def test_photographs_that_never_were_are_taken_for_their_class() -> None:
    material = world()
    weight = material.classes.weight
    made = Photographs(material.pictures, weight, strength=8.0, leftover=0.5)
    which = np.repeat(np.arange(6), 20)
    rows = made.of(which, np.random.default_rng(0))
    assert ((rows @ weight.T + material.classes.bias).argmax(1) == which).mean() > 0.9
    assert (
        (material.pictures @ weight.T + material.classes.bias).argmax(1) == np.resize(np.arange(6), 64)
    ).mean() < 0.5
    assert rows.min() >= 0
    assert rows.max() <= 6


def test_short_codes_are_rotations_of_the_strongest_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(200, 20, generator=generator) * torch.linspace(3, 0.1, 20)
    made = nested_rotations(rows, (4, 8, 16), seed=0)
    assert made.shape == (20, 16)
    strongest = torch.linalg.eigh(rows.T @ rows)[1][:, -4:]
    inside = (strongest.T @ made[:, :8]).square().sum(0)
    assert torch.allclose(inside, torch.ones(8), atol=1e-4)  # the first two blocks lie in the four strongest directions


def test_captions_are_collected_once_and_english_names_also_as_sentences() -> None:
    place: dict[str, int] = {}
    captions = (
        Caption("apple", "en", "name"),
        Caption("fruit, red", "en", "keywords"),
        Caption("Apfel", "de", "name"),
        Caption("Obst", "de", "keywords"),
    )
    found = captions_of(Item("1", "1.png", captions=captions), place)
    assert found == {"en": (0, 1, 3), "de": (2,)}
    assert list(place) == ["apple", "fruit, red", "Apfel", "An apple."]
    assert captions_of(Item("2", "2.png", captions=captions[:1]), place) == {"en": (0, 3)}
    assert as_sentence("tree") == "A tree."


def test_words_for_classes_and_nouns() -> None:
    classes = class_words(np.zeros((1000, 4)), np.zeros(1000))
    tench = [classes.texts[row] for row in classes.names[0]]
    assert tench[:4] == ["tench", "Tinca tinca", "A tench.", "A Tinca tinca."]
    assert tench[4].startswith("tench: freshwater")
    mask = noun_masks(classes)
    assert mask.shape == (len(classes.nouns), 1000)
    assert mask.any(1).all()
    assert len(set(classes.texts)) == len(classes.texts)


def test_pictures_of_nothing_and_texts_without_words() -> None:
    pictures = nothing(np.random.default_rng(0), each=3)
    assert {picture.shape for picture in pictures} == {(224, 224, 3)}
    assert len(pictures) == 15
    assert sum(len(np.unique(picture.reshape(-1, 3), axis=0)) == 1 for picture in pictures) == 3  # plain colours
    texts = babble(np.random.default_rng(0), each=3)
    assert "" in texts
    assert "a" in texts
    assert len(set(texts)) == len(texts)
    assert babble(np.random.default_rng(0), each=3) == texts
