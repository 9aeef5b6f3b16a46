"""The table of formats in docs/data.md has a row for every format and says which are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossbit.data import formats

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def rows() -> dict[str, str]:
    """Give the row of each format; one row may be of several."""
    table = PAGE.read_text(encoding="utf-8").partition("\n## Formats\n")[2]
    found = {}
    for row in re.findall(r"^\| (`.*) \|$", table, re.M):
        for name in re.findall(r"`([^`]+)`", row.partition("|")[0]):
            found[name] = row
    return found


def test_every_format_has_a_row_and_every_row_a_format() -> None:
    assert set(rows()) == set(formats.READERS)


@pytest.mark.parametrize("name", formats.READERS)
def test_a_row_says_where_how_and_what_is_checked(name: str) -> None:
    cells = [cell.strip() for cell in rows()[name].replace("\\|", "").split("|")]
    assert len(cells) == 5
    assert all(cells)
    assert ("*w*" in cells[0]) == (name in formats.WRITERS)
