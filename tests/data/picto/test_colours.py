"""A colour is named where nobody would argue, and only there."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.data.picto.colours import main_colour
from data.picto.made_items import COLOURS


def disc(colour: tuple[int, int, int], edge: int = 48, hole: int = 0) -> np.ndarray:
    """Give a disc on white, with a round hole."""
    y, x = np.ogrid[:edge, :edge]
    distance = np.hypot(y - edge / 2, x - edge / 2)
    inside = (distance < 0.45 * edge) & (distance >= hole)
    return np.where(inside[:, :, None], np.array(colour, np.uint8), np.uint8(255))


@pytest.mark.parametrize(("name", "colour"), sorted(set(COLOURS.values())))
def test_plain_colours_have_their_names(name: str, colour: tuple[int, int, int]) -> None:
    assert main_colour(disc(colour)) == name


@pytest.mark.parametrize(
    "colour",
    [(64, 224, 208), (135, 206, 235), (245, 222, 179), (250, 128, 114), (154, 205, 50), (70, 70, 70), (215, 215, 215)],
    ids=["turquoise", "sky blue", "wheat", "salmon", "yellow-green", "dark grey", "light grey"],
)
def test_what_lies_between_the_names_has_none(colour: tuple[int, int, int]) -> None:
    assert main_colour(disc(colour)) is None


def test_two_colours_are_none() -> None:
    picture = disc((220, 20, 30))
    picture[:, :12][picture[:, :12, 1] < 255] = (20, 70, 210)
    share = float((picture[:, :, 2] == 210).sum() / (picture.min(axis=2) < 255).sum())
    assert 0.15 < share < 0.4
    assert main_colour(picture) is None


def test_a_ring_and_an_outline_have_no_colour() -> None:
    assert main_colour(disc((220, 20, 30), hole=18)) is None
    picture = np.full((48, 48, 3), 255, np.uint8)
    picture[np.arange(48), np.arange(48)] = (10, 10, 10)
    assert main_colour(picture) is None
    assert main_colour(np.full((8, 8, 3), 255, np.uint8)) is None


def test_a_white_thing_is_told_from_the_paper() -> None:
    assert main_colour(disc((246, 246, 246))) == "white"


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(0, 252)] * 3))
def test_names_agree_with_hue_and_lightness(colour: tuple[int, int, int]) -> None:
    """Ranges that are wider than ours, by another road: hue, lightness and saturation of the standard library."""
    name = main_colour(disc(colour))
    hue, lightness, saturation = colorsys.rgb_to_hls(*(value / 255 for value in colour))
    degrees = hue * 360
    wide = {
        "red": degrees < 15 or degrees > 340,
        "orange": 15 < degrees < 40,
        "brown": 5 < degrees < 45 and lightness < 0.5,
        "yellow": 40 < degrees < 70,
        "green": 80 < degrees < 165,
        "blue": 200 < degrees < 250,
        "purple": 255 < degrees < 300,
        "pink": (degrees > 300 or degrees < 10) and lightness > 0.5,
        "black": lightness < 0.22,
        "white": lightness > 0.88,
        "grey": 0.3 < lightness < 0.81 and saturation < 0.34,
    }
    assert name is None or wide[name]
