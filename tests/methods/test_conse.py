"""ConSE against numbers worked out by hand, a plain NumPy twin, and (with the packaged encoders) three languages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sklearn.datasets
import torch

from crossbit.batch import Encoded
from crossbit.data.imagenet import imagenet_classes
from crossbit.encoders import load
from crossbit.encoders.base import EncoderCard
from crossbit.errors import ConfigError
from crossbit.features import Features
from crossbit.media.image import load_image
from crossbit.methods.conse import ConSE, ConSEConfig, build

WIDTH = 12


class Letters:
    """A text encoder without meaning: the same text gives the same vector, another text another one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe(self) -> EncoderCard:
        return EncoderCard("letters", "text", WIDTH, WIDTH, "0")

    def prepare(self, media: Sequence[str]) -> Mapping[str, np.ndarray]:
        self.asked += media
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in media]
        return {
            "rows": np.stack([np.random.default_rng(seed).normal(1, 1, WIDTH) for seed in seeds]).astype(np.float32)
        }

    def encode(self, inputs: Mapping[str, np.ndarray]) -> Features:
        rows = inputs["rows"]
        return Features("text", rows[:, None], np.ones((len(rows), 1), dtype=bool), rows)

    def module(self) -> torch.nn.Module:
        return torch.nn.Identity()


def unit(text: str) -> np.ndarray:
    row = Letters().prepare([text])["rows"][0]
    return row / np.linalg.norm(row)


def image(*pooled: Sequence[float]) -> Encoded:
    rows = torch.tensor(pooled, dtype=torch.float32)
    return Encoded("image", rows[:, None], torch.ones(len(rows), 1, dtype=torch.bool), rows)


def text(*words: str) -> Encoded:
    return Encoded.from_features(Letters().encode(Letters().prepare(words)))


def by_hand(config: ConSEConfig) -> ConSE:
    """Make a ConSE of four classes whose logits are the image's own four numbers, named by the axes of a plane."""
    method = ConSE(config, {"image": (4, 4), "text": (2, 2)})
    method.weight.copy_(torch.eye(4))
    method.bias.zero_()
    method.names.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    return method.eval()


@pytest.fixture(scope="module")
def ready() -> ConSE:
    """Build on a classifier that names class i exactly when number i of the image is large."""
    return build(Letters(), classifier=(np.eye(1000, dtype=np.float32), np.zeros(1000, dtype=np.float32)))


def test_two_classes_by_hand() -> None:
    # probabilities are in the ratio e^ln3 : e^0 = 3 : 1 for the first two; of the top 2 the shares are 3/4 and 1/4
    method = by_hand(ConSEConfig(top=2, temperature=1.0, classes=4))
    row = [float(np.log(3)), 0.0, -50.0, -60.0]
    assert method.blend(torch.tensor([row])).tolist()[0] == pytest.approx([0.75, 0.25], abs=1e-6)
    # at length 1: (3, 1) / sqrt(10)
    assert method.embed(image(row)).tolist()[0] == pytest.approx([3 / 10**0.5, 1 / 10**0.5], abs=1e-6)


def test_temperature_divides_the_logits() -> None:
    # at temperature 0.5 the ratio is e^(2 ln3) = 9 : 1
    method = by_hand(ConSEConfig(top=2, temperature=0.5, classes=4))
    assert method.blend(torch.tensor([[float(np.log(3)), 0.0, -50.0, -60.0]])).tolist()[0] == pytest.approx([0.9, 0.1])


def test_sure_classifier_lands_on_that_class(ready: ConSE) -> None:
    pooled = 100 * torch.eye(1000)[[7, 281, 954]]
    view = Encoded("image", pooled[:, None], torch.ones(3, 1, dtype=torch.bool), pooled)
    expected = torch.nn.functional.normalize(ready.names[[7, 281, 954]], dim=-1)
    assert torch.allclose(ready.embed(view), expected, atol=1e-5)


def test_image_is_a_convex_combination_of_its_likeliest_classes(ready: ConSE) -> None:
    pooled = np.random.default_rng(3).normal(size=(5, 1000)).astype(np.float32)
    blended = ready.blend(torch.from_numpy(pooled)).numpy()
    names = ready.names.numpy()
    for row, found in zip(pooled, blended, strict=True):
        likely = np.argsort(-row)[: ready.config.top]
        raised = np.exp(row[likely] / ready.config.temperature)
        share = raised / raised.sum()
        np.testing.assert_allclose(found, share @ names[likely], atol=1e-5)
        low, high = names[likely].min(axis=0), names[likely].max(axis=0)
        assert np.all((found >= low - 1e-6) & (found <= high + 1e-6))


def at_length_one(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def test_a_class_is_the_mean_of_its_centred_synonyms_and_definition(ready: ConSE) -> None:
    classes = imagenet_classes()
    centre = np.mean([unit(name) for c in classes for name in c.names], axis=0)
    np.testing.assert_allclose(ready.centre.numpy(), centre, atol=1e-5)
    definitions = [unit(f"{c.names[0]}: {c.definition}") for c in classes]
    parts = [unit("tench") - centre, unit("Tinca tinca") - centre, definitions[0] - np.mean(definitions, axis=0)]
    tench = np.mean([at_length_one(part) for part in parts], axis=0)
    np.testing.assert_allclose(ready.names[0].numpy(), tench, atol=1e-5)


def test_first_synonym_alone() -> None:
    encoder = Letters()
    classifier = (np.eye(1000, dtype=np.float32), np.zeros(1000, dtype=np.float32))
    method = build(encoder, classifier=classifier, config=ConSEConfig(synonyms="first", definitions=False))
    assert sorted(encoder.asked) == sorted(c.names[0] for c in imagenet_classes())
    tench = at_length_one(unit("tench") - method.centre.numpy())
    np.testing.assert_allclose(method.names[0].numpy(), tench, atol=1e-5)


def test_query_with_the_only_name_of_a_class_finds_it() -> None:
    classifier = (np.eye(1000, dtype=np.float32), np.zeros(1000, dtype=np.float32))
    method = build(Letters(), classifier=classifier, config=ConSEConfig(definitions=False))
    assert imagenet_classes()[954].names == ("banana",)
    pooled = 100 * torch.eye(1000)
    pictures = Encoded("image", pooled[:, None], torch.ones(1000, 1, dtype=torch.bool), pooled)
    assert int((method.embed(text("banana")) @ method.embed(pictures).T).argmax()) == 954


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="top is 0, expected 1 to 1000"):
        ConSEConfig(top=0)
    with pytest.raises(ConfigError, match="temperature is 0.0, expected more than 0"):
        ConSEConfig(temperature=0.0)
    with pytest.raises((ConfigError, TypeError)):  # the shape hook of the tests refuses it first
        ConSEConfig(synonyms="some")  # type: ignore[arg-type]


def test_another_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="a classifier of 10 classes"):
        build(Letters(), classifier=(np.zeros((10, 4), np.float32), np.zeros(10, np.float32)))


@pytest.fixture(scope="module")
def packaged() -> ConSE:
    """Build on the packaged encoders, with one name a class, since encoding two thousand definitions takes its time."""
    return build(load("e5-small"), config=ConSEConfig(synonyms="first", definitions=False))


def ask(method: ConSE, words: str) -> torch.Tensor:
    encoder = load("e5-small")
    return method.embed(Encoded.from_features(encoder.encode(encoder.prepare([words]))))[0]


@pytest.mark.parametrize("words", ["a dog", "ein Hund", "собака", "un chien"])
def test_dogs_are_asked_for_in_four_languages(packaged: ConSE, words: str) -> None:
    likely = (packaged.names @ ask(packaged, words)).topk(5).indices
    # classes 151 to 268 are breeds of dogs, 269 to 275 wolves, dingo, dhole and the African hunting dog
    assert int(((likely >= 151) & (likely <= 275)).sum()) >= 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a banana", "banana"), ("une banane", "banana"), ("バナナ", "banana"),
        ("a church", "church"), ("церковь", "church"), ("Kirche", "church"),
        ("a fire truck", "fire engine"), ("пожарная машина", "fire engine"), ("消防車", "fire engine"),
    ],
)  # fmt: skip
def test_things_are_asked_for_in_three_languages(packaged: ConSE, words: str, expected: str) -> None:
    assert imagenet_classes()[int((packaged.names @ ask(packaged, words)).argmax())].names[0] == expected


def test_a_photograph_is_found_by_words(packaged: ConSE) -> None:
    """Use the photographs that two of our dependencies ship: a temple, a flower, an officer."""
    samples = Path(sklearn.datasets.__file__).parent / "images"
    files = [
        samples / "china.jpg",
        samples / "flower.jpg",
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    ]
    encoder = load("efficientnet-lite0")
    photos = Encoded.from_features(encoder.encode(encoder.prepare([load_image(file, size=224) for file in files])))
    placed = packaged.embed(photos)
    for words in ("a woman in uniform", "eine Frau in Uniform", "женщина в форме", "un militaire"):
        temple, flower, officer = (placed @ ask(packaged, words)).tolist()
        assert officer > 0.1 + max(temple, flower)
