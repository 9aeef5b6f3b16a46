"""Cutting pictures out of white pages, on pages whose ink is known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crossbit.errors import MediaError
from crossbit.media.ink import WHITE, cut_out, ink_box, shades


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def page(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


@given(st.data())
def test_box_holds_all_ink_and_nothing_smaller_does(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    spots = data.draw(st.sets(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)), min_size=1, max_size=5))
    picture = page(height, width)
    for row, column in spots:
        picture[row, column, data.draw(st.integers(0, 2))] = data.draw(st.integers(0, WHITE - 1))
    rows, columns = zip(*spots, strict=True)
    assert ink_box(picture) == (min(rows), max(rows) + 1, min(columns), max(columns) + 1)


def test_what_is_nearly_white_is_no_ink() -> None:
    assert ink_box(np.full((3, 3, 3), WHITE, np.uint8)) is None
    assert ink_box(np.full((3, 3, 3), WHITE - 1, np.uint8)) == (0, 3, 0, 3)


def test_raster_is_cut_and_shrunk_but_never_enlarged() -> None:
    picture = page(100, 200)
    picture[20:60, 50:130] = (10, 20, 30)
    np.testing.assert_array_equal(cut_out(png(picture), 80), picture[20:60, 50:130])
    np.testing.assert_array_equal(cut_out(png(picture), 4000), picture[20:60, 50:130])
    small = cut_out(png(picture), 20)
    assert small.shape == (10, 20, 3)
    assert np.abs(small[2:-2, 2:-2].astype(int) - (10, 20, 30)).max() <= 2  # its edges are averaged with the white


def test_transparent_pages_count_as_white() -> None:
    picture = np.zeros((40, 40, 4), np.uint8)  # black, and nothing of it is seen
    picture[10:20, 5:30, 3] = 255
    np.testing.assert_array_equal(cut_out(png(picture), 100), np.zeros((10, 25, 3), np.uint8))


def test_drawing_in_the_corner_of_its_page_comes_out_as_large_as_others() -> None:
    box = b'<rect x="700" y="40" width="40" height="20"/>'
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="800">' + box + b"</svg>"
    made = cut_out(svg, 100)
    # drawn at 100 pixels a page it would be 5 pixels wide
    assert 90 <= made.shape[1] <= 100
    assert abs(made.shape[0] / made.shape[1] - 0.5) < 0.03


def test_nothing_to_see() -> None:
    with pytest.raises(MediaError, match="nothing but white"):
        cut_out(png(page(5, 5)), 10)


def test_shades_by_hand() -> None:
    picture = page(4, 4)
    assert shades(picture) == 0.0
    picture[0] = (0, 0, 0)
    assert shades(picture) == 0.0  # one colour, white is left out
    picture[1] = (200, 0, 0)
    assert shades(picture) == pytest.approx(1.0)  # two, equally often
    picture[2:] = ((0, 0, 7), (0, 200, 0), (0, 200, 0), (200, 200, 0))  # (0, 0, 7) is black at 32 levels
    # of 16: black 4 + 2, red 4, green 4, yellow 2
    shares = np.array([6, 4, 4, 2]) / 16
    assert shades(picture) == pytest.approx(-(shares * np.log2(shares)).sum())
