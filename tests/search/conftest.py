"""Fixtures of the search tests; the fakes themselves are in `fakes.py`, which also the killed programs import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search.fakes import COLOURS, FakeModel, paint


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eight pictures, one a colour, in two folders."""
    folder = tmp_path / "pictures"
    for number, name in enumerate(COLOURS):
        paint(folder / ("a" if number % 2 else "b/c") / f"{name}.png", name)
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], Path]:
    """Give a maker of folders with n pictures of different content."""

    def make(count: int, name: str = "many") -> Path:
        folder = tmp_path / name
        colours = list(COLOURS)
        for number in range(count):
            paint(folder / f"{number % 7}" / f"{number:05d}.png", colours[number % 8], size=(8, 6), mark=number + 1)
        return folder

    return make
