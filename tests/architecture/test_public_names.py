"""`crossbit` has the names that `__all__` lists, all of them and no others, and loads each when it is first used."""

from __future__ import annotations

import ast
import inspect

import pytest

import crossbit
from architecture.sources import PACKAGE
from crossbit import errors


def _typed_names() -> set[str]:
    """Give the names that a type checker sees: those imported under TYPE_CHECKING."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {name.asname or name.name for node in block.body for name in node.names}  # type: ignore[attr-defined]


def test_all_is_complete_and_sorted() -> None:
    assert crossbit.__all__ == sorted(crossbit.__all__)
    assert set(crossbit.__all__) == set(crossbit._HOME) | {"__version__", "list_methods"}
    assert set(dir(crossbit)) == set(crossbit.__all__)


def test_type_checkers_see_the_same_names() -> None:
    assert _typed_names() == set(crossbit._HOME)


@pytest.mark.parametrize("name", crossbit.__all__)
def test_every_name_can_be_had(name: str) -> None:
    assert getattr(crossbit, name) is not None


def test_every_error_is_public() -> None:
    family = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert family <= set(crossbit.__all__)


def test_unknown_name_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Modle'.*Model"):
        _ = crossbit.Modle


def test_methods_are_listed_by_name() -> None:
    assert {"clip", "conse", "fgcmh", "vsepp"} <= set(crossbit.list_methods())
