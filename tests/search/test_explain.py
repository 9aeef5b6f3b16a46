"""Explanations: words found among pieces, maps of methods that align and of dual encoders, what cannot be; drawing."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crossbit.errors import AbilityError, UsageError
from crossbit.features import Features
from crossbit.media.heat import heat_map
from crossbit.search.explain import Explanation, draw, explain, pieces


class Splitter:
    """Cuts words into pieces of three letters, framed by one before and one behind."""

    frame = SimpleNamespace(head=(0,), tail=(1,))

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        return [[len(word[at : at + 3]) for word in text.split() for at in range(0, len(word), 3)] for text in texts]


class Model:
    """A 2 x 2 grid; cell `c` and word `w` agree where the word is the cell's colour."""

    name = "toy"
    colours = ("red", "blue", "green", "sky")

    def __init__(self, *abilities: str, cells: int = 4, pooled: int = 4) -> None:
        self.abilities, self.cells, self.pooled = frozenset(abilities), cells, pooled

    def encoder(self, view: str) -> Any:
        return Splitter()

    def features(self, view: str, media: Sequence[Any], **_: Any) -> Features:
        if view == "text":
            rows = np.array([[text.split()[0] == colour for colour in self.colours] for text in media], np.float32)
            length = max(2 + len(made) for made in Splitter().split(media))
            return Features(
                "text", np.zeros((len(media), length, 4), np.float32), np.ones((len(media), length), bool), rows
            )
        tokens = np.tile(np.eye(4, dtype=np.float32)[np.arange(self.cells) % 4], (len(media), 1, 1))
        return Features(
            "image", tokens, np.ones(tokens.shape[:2], bool), np.ones((len(media), self.pooled), np.float32)
        )

    def rows(self, features: Features) -> Any:
        return SimpleNamespace(embedding=features.pooled)

    def align(self, a: Features, b: Features) -> np.ndarray:
        # piece p looks at cell p alone; the first token is the frame's
        found: np.ndarray = np.eye(a.tokens.shape[1], b.tokens.shape[1], -1, dtype=np.float32)[None]
        return found


def test_pieces_are_given_back_to_their_words() -> None:
    assert pieces(Splitter(), "redder sky") == [("redder", 2), ("sky", 1)]
    assert pieces(SimpleNamespace(), "Two red apples!") == [("two", 1), ("red", 1), ("apples", 1)]
    joined = SimpleNamespace(split=lambda texts: [[1] * len(text.replace(" ", "x")) for text in texts])
    assert pieces(joined, "ab c") == [("ab c", 4)]


def test_a_words_weights_are_the_mean_of_its_pieces() -> None:
    (found,) = explain(Model("aligns"), "redder sky", ["a.png"])
    assert (found.kind, found.words) == ("attention", ("redder", "sky"))
    np.testing.assert_allclose(found.heat, [[[0.5, 0.5], [0, 0]], [[0, 0], [1, 0]]])
    assert found.to_dict()["words"][1] == {"word": "sky", "heat": [[0, 0], [1, 0]]}


def test_a_dual_encoder_compares_each_cell_with_each_word() -> None:
    first, second = explain(Model("embeds"), "blue sky", ["a.png", "b.png"])
    assert first.kind == "similarity"
    np.testing.assert_allclose(first.heat, [[[0, 1], [0, 0]], [[0, 0], [0, 1]]])
    np.testing.assert_allclose(second.heat, first.heat)


def test_a_token_for_the_whole_is_no_cell() -> None:
    (found,) = explain(Model("embeds", cells=5), "blue", ["a.png"])
    np.testing.assert_allclose(found.heat, [[[1, 0], [0, 0]]])


@pytest.mark.parametrize(
    ("model", "text", "error", "message"),
    [
        (Model("hashes"), "red", AbilityError, "neither aligns"),
        (Model("embeds", pooled=3), "red", AbilityError, "expected one width"),
        (Model("embeds", cells=7), "red", AbilityError, "square grid"),
        (Model("embeds"), " ", UsageError, "expected words"),
    ],
)
def test_what_cannot_be_explained_says_why(model: Model, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        explain(model, text, ["a.png"])


def test_the_hottest_cell_is_the_warmest_colour() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    drawn = draw(white, Explanation(("red",), np.array([[[0, 0], [0, 1]]], np.float32), "attention"), edge=64)
    assert [word for word, _ in drawn] == ["red"]
    picture = drawn[0][1].astype(int)
    assert picture[60, 60, 0] - picture[60, 60, 2] > 100  # yellow, where it is
    assert picture[3, 3, 2] > picture[3, 3, 0]  # blue elsewhere
    even = heat_map(white, np.ones((2, 2), np.float32), 64)
    assert (even == even[0, 0]).all()
