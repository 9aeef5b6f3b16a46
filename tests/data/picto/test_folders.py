"""Folders and the groups that they belong to."""

from __future__ import annotations

import json

import pytest

from crossbit.data.picto.folders import CLIPART_FOLDERS, STAMP_FOLDERS, labels_of, place_of
from crossbit.data.picto.packages import PACKAGES, _unpacked_folder
from data.picto.fakes import DUCK, names


def test_the_longest_beginning_wins() -> None:
    table = {"a": ("one", ""), "a/b": ("two", "2"), "a/b/c": ("three", "3")}
    assert place_of("a/x.svg", table) == ("one", "")
    assert place_of("a/b/x.svg", table) == ("two", "2")
    assert place_of("a/b/d/e/x.svg", table) == ("two", "2")
    assert place_of("a/bc/x.svg", table) == ("one", "")  # whole names only
    assert place_of("b/x.svg", table) == ("", "")
    assert place_of("a", table) == ("", "")  # a file, no folder


def test_an_emoji_of_the_same_name_lends_its_labels_only_within_its_group() -> None:
    assert labels_of("animals/mammals/x.png", STAMP_FOLDERS, "Duck", names()) == names().labels(DUCK)
    assert labels_of("sports/x.png", STAMP_FOLDERS, "duck", names()) == ("group:activities", "subgroup:sport")
    assert labels_of("unsorted/x.png", CLIPART_FOLDERS, "duck", names()) == names().labels(DUCK)
    assert labels_of("unsorted/x.png", CLIPART_FOLDERS, "thing", names()) == ()
    assert labels_of("animals/x.png", STAMP_FOLDERS, None, names()) == ("group:animals-nature",)


@pytest.mark.parametrize("table", [STAMP_FOLDERS, CLIPART_FOLDERS])
def test_groups_and_subgroups_are_unicodes(table: dict[str, tuple[str, str]]) -> None:
    meta = _unpacked_folder(PACKAGES["emojibase"]) / "package" / "meta" / "groups.json"
    if not meta.is_file():
        pytest.skip("emojibase is not in the cache; `crossbit data prepare picto --only names` fetches it")
    known = json.loads(meta.read_text())
    allowed = {("", "")}
    for number, group in known["groups"].items():
        subgroups = {known["subgroups"][str(place)] for place in known["hierarchy"][number]}
        allowed |= {(group, subgroup) for subgroup in (*subgroups, "")}
    assert {place for place in table.values() if place not in allowed} == set()
