from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.errors import UsageError
from crossbit.media.resize import centre_crop, letterbox, resize, short_edge

sides = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(height=sides, width=sides)
def test_letterbox_keeps_everything_and_pads_with_white(height: int, width: int) -> None:
    made = letterbox(np.zeros((height, width, 3), np.uint8), 32)
    assert made.shape == (32, 32, 3)
    inked = (made < 255).all(2)
    rows, columns = inked.any(1).sum(), inked.any(0).sum()
    assert max(rows, columns) == 32
    assert abs(rows / columns - height / width) <= max(height / width, 1) / min(rows, columns)
    # centred: the margins differ by at most a pixel
    for line in (inked.any(1), inked.any(0)):
        first, last = np.flatnonzero(line)[[0, -1]]
        assert abs(first - (31 - last)) <= 1


def test_square_of_the_right_size_is_left_alone() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(letterbox(picture, 32), picture)


@settings(max_examples=60, deadline=None)
@given(height=sides, width=sides)
def test_short_edge(height: int, width: int) -> None:
    made = short_edge(np.zeros((height, width, 3), np.uint8), 20)
    assert min(made.shape[:2]) == 20
    assert max(made.shape[:2]) == max(20, int(max(height, width) * 20 / min(height, width)))


def test_centre_crop() -> None:
    picture = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    np.testing.assert_array_equal(centre_crop(picture, 3, 2), picture[1:4, 1:3])
    padded = centre_crop(picture, 7, 4)
    assert not padded[0].any()
    np.testing.assert_array_equal(padded[1:6], picture)


@pytest.mark.parametrize("resample", ["nearest", "bilinear", "bicubic", "lanczos", "box", 2, 3])
def test_constant_stays_constant(resample: str | int) -> None:
    made = resize(np.full((50, 31, 3), 200, np.uint8), 7, 9, resample)
    assert made.shape == (7, 9, 3)
    assert (made == 200).all()


def test_unknown_filter() -> None:
    with pytest.raises(UsageError, match="expected one of"):
        resize(np.zeros((2, 2, 3), np.uint8), 3, 3, "cubic")
