"""The default model, as it ships: photographs of two of our dependencies in several languages, and honesty about nothing."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sklearn.datasets

from crossbit import Model
from crossbit.data import base
from crossbit.model import base_model, default_model

SAMPLES = Path(sklearn.datasets.__file__).parent / "images"
PHOTOGRAPHS = (
    SAMPLES / "china.jpg",
    SAMPLES / "flower.jpg",
    Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.default()


@pytest.fixture(scope="module")
def photographs(model: Model) -> np.ndarray:
    return model.encode_image(PHOTOGRAPHS)


def test_it_is_the_shipped_one(model: Model) -> None:
    assert default_model() == model.name == "base"
    assert (model.dim, model.bits) == (256, 256)
    assert model.card.training == base.read_card()["training"]
    assert base_model().fingerprint == model.fingerprint


@pytest.mark.parametrize(
    ("words", "best"),
    [
        ("a temple", 0), ("ein Tempel", 0), ("un temple", 0),
        ("a flower", 1), ("eine Blume", 1), ("цветок", 1),
        ("a woman in uniform", 2), ("eine Frau in Uniform", 2), ("una mujer en uniforme", 2),
    ],
)  # fmt: skip
def test_photographs_are_found_by_words(model: Model, photographs: np.ndarray, words: str, best: int) -> None:
    assert int((model.encode_text([words]) @ photographs.T).argmax()) == best


@pytest.mark.parametrize("words", ["", "x", "?", "qwrtpsd", "ꦀꦁꦂ", "𓀀𓁐"])
def test_queries_that_are_no_words_get_low_scores_and_no_error(
    model: Model, photographs: np.ndarray, words: str
) -> None:
    assert np.abs(model.encode_text([words]) @ photographs.T).max() < 0.1


@pytest.mark.parametrize("kind", ["noise", "white", "red", "ramp"])
def test_pictures_of_nothing_get_low_scores(model: Model, kind: str) -> None:
    generator = np.random.default_rng(9)
    picture = {
        "noise": generator.integers(0, 256, (180, 240, 3)),
        "white": np.full((90, 120, 3), 255),
        "red": np.full((300, 200, 3), (200, 30, 30)),
        "ramp": np.broadcast_to(np.linspace(0, 255, 200)[:, None, None], (200, 200, 3)),
    }[kind].astype(np.uint8)
    asked = model.encode_text(["a dog", "a red apple", "eine Katze", "une voiture", "часы", "a flower", "a face"])
    assert (asked @ model.encode_image([np.ascontiguousarray(picture)]).T).max() < 0.2


def test_shorter_codes_are_the_beginning_of_longer_ones_and_still_find(model: Model) -> None:
    rows = model.encode("image", PHOTOGRAPHS)
    asked = model.encode("text", ["a temple", "a flower", "a woman in uniform"])
    assert rows.code is not None
    assert asked.code is not None
    for bits in (64, 128, 256):
        apart = np.unpackbits(rows.code[None, :, : bits // 8] ^ asked.code[:, None, : bits // 8], axis=2).sum(2)
        assert apart.argmin(1).tolist() == [0, 1, 2]
