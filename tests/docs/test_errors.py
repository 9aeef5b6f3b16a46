"""docs/errors.md and errors.py name the same errors, with the same exit codes and in the same tree."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from crossbit import errors
from crossbit.errors import CrossbitError

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
FAMILY = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls)}


def section(name: str) -> str:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def tree(text: str) -> list[str]:
    """Give the names of the drawn tree in order, each with its indentation."""
    lines = text[text.index("    CrossbitError") :].split("\n\n")[0].splitlines()
    return [match[0] for line in lines if (match := re.match(r"[\s│├└─]*\w+", line))]


def test_headings_are_the_errors_in_their_order() -> None:
    assert re.findall(r"^## (\w+)$", PAGE, re.M) == list(FAMILY)


@pytest.mark.parametrize("name", FAMILY)
def test_each_says_its_exit_code_and_what_to_do(name: str) -> None:
    text = section(name)
    assert text.strip().startswith(f"Exit code {FAMILY[name].exit_code}.")
    assert len(text.split()) > 15
    if name not in ("CrossbitError", "DataError"):
        assert "*What\nto do*" in text or "*What to\ndo*" in text or "*What to do*" in text


def test_the_tree_is_drawn_alike_and_true() -> None:
    drawn = tree(PAGE)
    assert drawn == tree(errors.__doc__ or "")
    assert {line.split()[-1] for line in drawn} == set(FAMILY)
    parents: list[str] = []
    for line in drawn:
        depth, name = len(re.match(r"[\s│├└─]*", line)[0]) // 4 - 1, line.split()[-1]  # type: ignore[index]
        parents[depth:] = [name]
        if depth:
            assert FAMILY[name].__bases__ == (FAMILY[parents[depth - 1]],)


def test_message_and_hint_are_parted_by_a_blank_line() -> None:
    assert str(CrossbitError("a: found 1, expected 2", "use 2")) == "a: found 1, expected 2\n\nhint: use 2"
    assert str(CrossbitError("a: found 1, expected 2")) == "a: found 1, expected 2"
