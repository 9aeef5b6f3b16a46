"""What the default model does not know gets a low score, never an error: pictures of nothing, texts that are no words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from crossbit import Model

QUERIES = ("a dog", "a red flower", "ein Schiff", "un reloj", "山", "a screenshot of text", "noise")
LOW = 0.15
"""Below this an answer is a guess: few right first answers score less, most score 0.2 to 0.8."""
EDGE = 256


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.default()


@pytest.fixture(scope="module")
def queries(model: Model) -> np.ndarray:
    return model.encode_text(QUERIES)


def noise() -> np.ndarray:
    return np.random.default_rng(77).integers(0, 256, (EDGE, EDGE, 3), np.uint8)


def grey_noise() -> np.ndarray:
    return np.repeat(np.random.default_rng(78).integers(0, 256, (EDGE, EDGE, 1), np.uint8), 3, axis=2)


def page() -> np.ndarray:
    """Set a page of text in a font of pixels, which no training page was drawn with."""
    sheet = Image.new("RGB", (EDGE, EDGE), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    words = "the quick brown fox jumps over the lazy dog and reads a page of text "
    for row in range(20):
        pen.text((10, 6 + 12 * row), (words * 2)[row : row + 38], fill="black", font=font)
    return np.asarray(sheet)


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((EDGE, EDGE, 3), colour, np.uint8)


@pytest.mark.parametrize(
    "picture",
    [noise(), grey_noise(), page(), plain((255, 255, 255)), plain((0, 0, 0)), plain((200, 30, 40))],
    ids=["noise", "grey noise", "page of text", "white", "black", "red"],
)
def test_a_picture_of_nothing_is_found_by_no_query(model: Model, queries: np.ndarray, picture: np.ndarray) -> None:
    (row,) = model.encode_image([picture])
    assert np.isfinite(row).all()
    assert np.abs(queries @ row).max() < LOW


@pytest.mark.parametrize("text", ["", " ", "x", "ß", "?", "qwrtpsd", "ꦲꦤꦕꦫꦏ", "𓀀𓂀𓃰", "1", "....", "\u200b"])
def test_a_query_that_is_no_word_finds_no_picture(model: Model, text: str) -> None:
    circle = Image.new("RGB", (EDGE, EDGE), "white")
    ImageDraw.Draw(circle).ellipse((40, 40, 200, 200), fill="orange", outline="black", width=6)
    striped = plain((40, 120, 220)) // 2 + noise() // 6
    striped[::16] = 250
    pictures = model.encode_image([np.asarray(circle), striped, noise()])
    (row,) = model.encode_text([text])
    assert np.isfinite(row).all()
    assert np.abs(pictures @ row).max() < LOW
