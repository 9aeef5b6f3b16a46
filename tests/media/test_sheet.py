"""Contact sheets: every picture where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossbit.media.image import load_image
from crossbit.media.sheet import contact_sheet, write_contact_sheet


def plain(colour: tuple[int, int, int], height: int = 30, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def where(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[slice, slice]:
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_pictures_stand_in_rows_and_columns_of_one_size() -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    sheet = contact_sheet(
        [("one", [(plain(red), "a"), (plain(green, 60, 30), "b")]), ("two", [(plain(blue), "c")])], 40
    )
    boxes = {name: where(sheet, colour) for name, colour in (("red", red), ("green", green), ("blue", blue))}
    sizes = {name: (rows.stop - rows.start, columns.stop - columns.start) for name, (rows, columns) in boxes.items()}
    assert sizes == {"red": (40, 40), "green": (40, 20), "blue": (40, 40)}
    assert boxes["red"][0] == boxes["green"][0]
    assert boxes["red"][1] == boxes["blue"][1]
    assert boxes["green"][1].start > boxes["red"][1].stop
    assert boxes["blue"][0].start > boxes["red"][0].stop


def test_texts_are_drawn_and_cut_at_their_picture() -> None:
    bare = contact_sheet([("", [(plain((0, 0, 0)), ""), (plain((0, 0, 0)), "")])], 40)
    short = contact_sheet([("", [(plain((0, 0, 0)), "x"), (plain((0, 0, 0)), "")])], 40)
    long = contact_sheet([("", [(plain((0, 0, 0)), "x" * 200), (plain((0, 0, 0)), "")])], 40)
    assert bare.shape == short.shape == long.shape
    assert (bare != short).any()
    second = where(bare, (0, 0, 0))[1].stop - 40
    np.testing.assert_array_equal(bare[:, second:], long[:, second:])


def test_an_empty_sheet_and_letters_that_the_font_lacks(tmp_path: Path) -> None:
    assert contact_sheet([]).ndim == 3
    write_contact_sheet([("猫", [(plain((0, 0, 0)), "кошка 猫 قطة")])], tmp_path / "deep" / "sheet.png")
    assert load_image(tmp_path / "deep" / "sheet.png").shape[2] == 3
