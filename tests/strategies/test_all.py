"""Every strategy of the table trains a method as it should and finds planted wrong pairs if it claims to."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import crossbit.strategies
from crossbit.strategies import STRATEGIES
from crossbit.strategies.base import Strategy
from crossbit.testing import check_strategy


def load(name: str) -> type[Strategy]:
    module, cls = STRATEGIES[name].split(":")
    found = getattr(import_module(module), cls)
    assert issubclass(found, Strategy)
    return found


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_strategy_keeps_its_promises(name: str) -> None:
    tried = check_strategy(load(name))
    assert ("finds wrong pairs" in tried) == load(name).needs_evidence


def test_files_and_table_agree() -> None:
    folder = Path(crossbit.strategies.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "base"} == set(STRATEGIES)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_strategy_is_found_under_its_name(name: str) -> None:
    assert STRATEGIES[name].split(":")[0] == f"crossbit.strategies.{name}"
