"""The table of methods is read from sources; it must say what the classes say."""

from __future__ import annotations

from importlib import import_module

import pytest

from crossbit.cli.methods import list_methods
from crossbit.methods import METHODS
from crossbit.strategies import STRATEGIES


@pytest.mark.parametrize("key", METHODS)
def test_abilities_are_those_of_the_class(key: str) -> None:
    from crossbit.methods.base import abilities

    module, _, name = METHODS[key].partition(":")
    entry = next(entry for entry in list_methods() if entry.key == key)
    assert set(entry.abilities) == abilities(getattr(import_module(module), name))
    assert entry.paper
    assert entry.use


def test_every_method_and_strategy_is_listed_once() -> None:
    assert [entry.key for entry in list_methods()] == [*METHODS, *STRATEGIES]


def test_uses_follow_from_abilities() -> None:
    use = {entry.key: entry.use for entry in list_methods()}
    assert (use["conse"], use["fgcmh"], use["plain"]) == ("index", "index + index (bits)", "training strategy")


@pytest.mark.parametrize("key", METHODS)
def test_bits_are_those_of_the_small_settings(key: str) -> None:
    module, _, name = METHODS[key].partition(":")
    small = getattr(import_module(module), name).Config.small()
    entry = next(entry for entry in list_methods() if entry.key == key)
    hashes = "hashes" in entry.abilities
    assert entry.bits == (small.bits if hashes else None)
    assert entry.nested == (hashes and hasattr(small, "nested"))


def test_bits_are_told_in_words() -> None:
    told = {entry.key: entry.codes for entry in list_methods()}
    assert (told["vit2cmh"], told["cmfh"], told["scan"]) == ("128, nested on request", "128", "")
