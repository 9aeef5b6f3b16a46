"""Every method of the table keeps what its type promises; files and table agree."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

import crossbit.methods
from crossbit.methods import METHODS
from crossbit.methods.base import Method
from crossbit.testing import check_method

DIMS = {"clip": {"image": (12, 8), "text": (10, 8)}}
"""Methods that need widths of a certain kind; the others are tried with widths that all differ."""


CONFIGS: dict[str, dict[str, object]] = {"cmhr_drn": {"text_net": "pooled"}, "mvsen": {"classes": 8}}
"""Settings that differ from the small ones: random tokens are no words that a vocabulary could know, and have no labels."""


def load(name: str) -> type[Method]:
    module, cls = METHODS[name].split(":")
    found = getattr(import_module(module), cls)
    assert issubclass(found, Method)
    return found


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_keeps_its_promises(name: str) -> None:
    cls = load(name)
    config = replace(cls.Config.small(), **CONFIGS[name]) if name in CONFIGS else None  # type: ignore[attr-defined, type-var]
    tried = check_method(cls, config=config, dims=DIMS.get(name))
    assert len(tried) >= 7


def test_files_and_table_agree() -> None:
    folder = Path(crossbit.methods.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "joined"} == set(METHODS)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_found_under_its_name(name: str) -> None:
    assert METHODS[name].split(":")[0] == f"crossbit.methods.{name}"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_says_where_it_comes_from(name: str) -> None:
    text = import_module(METHODS[name].split(":")[0]).__doc__ or ""
    assert re.search(r"\b(19|20)\d\d\b", text), f"{name}: the module's docstring cites nothing"
    for heading in ("From the paper", "Our reconstruction"):
        assert heading in text, f"{name}: the module's docstring has no {heading!r}"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_settings_say_what_they_mean(name: str) -> None:
    config = load(name).Config
    assert config.__doc__
    undocumented = [field for field in config.__dataclass_fields__ if field not in config.__doc__]
    assert undocumented == []
