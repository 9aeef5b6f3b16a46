"""`where` against sqlite on the same rows, against answers by hand, and its messages."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.errors import UsageError
from crossbit.search.filters import Filter
from crossbit.search.metadata import clean, columns, dump, load

ROWS: list[dict[str, Any]] = [
    {"year": 2019, "author": "Ann", "rating": 4.5, "good": True, "taken": date(2019, 5, 1)},
    {"year": 2020, "author": "Bo", "rating": 3, "good": False, "taken": date(2020, 1, 31)},
    {"year": 2021, "author": "Ann O'Hara", "taken": datetime(2021, 7, 1, 12, 30)},
    {"year": 2022, "author": "ann", "seen": datetime(2022, 1, 1, tzinfo=UTC)},
    {"year": "unknown", "tags": ["a", "b"]},
    {},
]


def passing(text: str, rows: list[dict[str, Any]] = ROWS) -> list[int]:
    laid = columns([clean(row) for row in rows])
    fields: dict[str, set[str]] = {}
    for column in laid:
        kind, name = column.split(":", 1)
        fields.setdefault(name, set()).add(kind)
    mask = Filter(text, fields).mask(len(rows), laid.get)
    assert mask.dtype == bool
    return [place for place, kept in enumerate(mask) if kept]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year > 2020", [2, 3]),
        ("2020 < year", [2, 3]),
        ("year >= 2020 and author = 'Ann O''Hara'", [2]),
        ("year > 2020 or author = 'Ann'", [0, 2, 3]),
        ("not author = 'Ann'", [1, 2, 3]),  # who has no author is neither
        ("not (year > 2020 or author = 'Ann')", [1]),
        ("author in ('Ann', 'Bo')", [0, 1]),
        ("author not in ('Ann', 'Bo')", [2, 3]),
        ("year between 2019 and 2020", [0, 1]),
        ("year not between 2019 and 2020", [2, 3]),
        ("author like 'Ann%'", [0, 2]),
        ("author ilike 'a_n'", [0, 3]),
        ("author not like 'Ann%'", [1, 3]),
        ("author is null", [4, 5]),
        ("author is not null", [0, 1, 2, 3]),
        ("rating = 3", [1]),  # an int beside floats
        ("rating > -1.5e0", [0, 1]),
        ("year = 'unknown'", [4]),  # the field holds numbers and text
        ("good", [0]),
        ("not good", [1]),
        ("good = false", [1]),
        ("taken > '2019-12-31'", [1, 2]),  # dates and times of day together
        ("taken = date '2020-01-31'", [1]),
        ("taken <= timestamp '2021-07-01 12:30'", [0, 1, 2]),
        ("seen = '2022-01-01T01:00:00+01:00'", [3]),
        ("tags is not null", [4]),
        ('"year" != 2019', [1, 2, 3]),
        ("`year` <> 2019", [1, 2, 3]),
        ("rating < year", [0, 1]),
        ("YEAR IS NULL" .replace("YEAR", "year"), [5]),
    ],
)  # fmt: skip
def test_by_hand(text: str, expected: list[int]) -> None:
    assert passing(text) == expected


NAMES = {"a": "INTEGER", "b": "INTEGER", "x": "REAL", "s": "TEXT", "t": "TEXT"}
numbers, texts = st.integers(-3, 3), st.text("ab%_", max_size=3)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth and draw(st.booleans()):
        left, right = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        joined = f"{left} {draw(st.sampled_from(['and', 'OR', 'or', 'And']))} {right}"
        return draw(st.sampled_from([f"({joined})", joined, f"not ({joined})"]))
    number, text = draw(st.sampled_from("abx")), draw(st.sampled_from("st"))
    operator = draw(st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="]))
    low, high = draw(numbers), draw(numbers)
    word = draw(texts)
    return draw(
        st.sampled_from(
            [
                f"{number} {operator} {low}",
                f"{low}.5 {operator} {number}",
                f"{number} {operator} {draw(st.sampled_from('abx'))}",
                f"{text} {operator} '{word}'",
                f"{text} {operator} {draw(st.sampled_from('st'))}",
                f"{number} between {low} and {high}",
                f"{number} not in ({low}, {high})",
                f"{text} in ('{word}')",
                f"{text} like '{word}%'",
                f"not {text} like '_{word}'",
                f"{number} is null",
                f"{text} is not null",
            ]
        )
    )


@settings(max_examples=150, deadline=None)
@given(
    conditions(),
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "a": numbers,
                "b": numbers,
                "x": st.floats(-3, 3, allow_nan=False),
                "s": texts,
                "t": texts,
            },
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_agrees_with_sqlite(text: str, rows: list[dict[str, Any]]) -> None:
    rows = [*rows, {"a": 1, "b": 1, "x": 0.5, "s": "a", "t": "b"}]  # every field exists
    db = sqlite3.connect(":memory:")
    db.execute("PRAGMA case_sensitive_like = ON")
    db.execute("CREATE TABLE rows (n INTEGER, " + ", ".join(f"{n} {k}" for n, k in NAMES.items()) + ")")
    for place, row in enumerate(rows):
        db.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", [place, *(row.get(name) for name in NAMES)])
    expected = [place for (place,) in db.execute(f"SELECT n FROM rows WHERE {text} ORDER BY n")]
    db.close()
    assert passing(text, rows) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yeer > 2020", r"no item has a field `yeer`[^$]*did you mean `year`\? "),
        ("author > 2020", "field `author` holds text, compared with the number 2020"),
        ("good > 1", "field `good` holds true or false, compared with the number 1"),
        ("good > true", "which `>` does not order"),
        ("rating = 'x'", "holds numbers, compared with the text 'x'[^$]*leave the quotes away"),
        ("taken > 'soon'", "field `taken` holds dates, found 'soon'"),
        ("taken > 2020", "field `taken` holds dates, compared with the number 2020"),
        ("author = rating", "holds text and `rating` numbers"),
        ("tags = 'a'", "field `tags` holds lists, compared with the text 'a'"),
        ("year >", "found the end at character 7, expected a value"),
        ("year", "field `year` holds numbers and text, compared with true or false"),
        ("", "found the end at character 1"),
        ("year > 2020 author = 'x'", "found `author` at character 13, expected `and`, `or` or the end"),
        ("author = 'Ann", "at character 10, expected the closing quote"),
        ("1 = 1", "expected a field on one side"),
        ("(year > 1", r"expected `\)`"),
        ("year in ()", "expected a value"),
        ("author like 3", "expected a pattern"),
        ("year not > 3", "expected `in`, `between` or `like`"),
        ("taken > date '2020-13-01'", "expected a date such as"),
        ("__import__('os')", r"found `\(`|no item has"),
        ("year ; drop", "found `;`"),
        ("(" * 200, "fewer brackets"),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        passing(text)


def test_metadata_comes_back() -> None:
    row = clean(
        {
            "n": 3, "x": 0.5, "s": "ä", "f": False, "d": date(2024, 2, 29), "t": datetime(2024, 2, 29, 1, 2, 3),
            "l": [1, "a", {"b": date(2020, 1, 1)}], "none": None, "nan": float("nan"), "big": 2**70, "half": "a\ud800b",
        }
    )  # fmt: skip
    assert load(dump(row)) == row
    assert "none" not in row
    assert "nan" not in row
    assert row["big"] == str(2**70)
    assert row["half"] == "a\ufffdb"
    with pytest.raises(UsageError, match="field 'raw' is a bytes"):
        clean({"raw": b"x"})
