"""Which collection is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.cli.locate import find_collection
from crossbit.errors import CollectionError


def collection(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("meta.json", "head.json"):
        (folder / name).write_text("{}")
    return folder


def test_the_named_folder_or_the_one_in_it(tmp_path: Path) -> None:
    inner = collection(tmp_path / "pictures" / ".crossbit")
    assert find_collection(inner) == inner
    assert find_collection(tmp_path / "pictures") == inner


def test_the_nearest_one_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = collection(tmp_path / ".crossbit")
    inner = collection(tmp_path / "a" / "b" / ".crossbit")
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    assert find_collection(None, tmp_path / "a" / "b" / "c" / "d") == inner
    assert find_collection(None, tmp_path / "a") == outer
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert find_collection(None) == inner


def test_a_folder_that_is_no_collection_is_passed_by(tmp_path: Path) -> None:
    outer = collection(tmp_path / ".crossbit")
    (tmp_path / "a" / ".crossbit" / "cache").mkdir(parents=True)
    assert find_collection(None, tmp_path / "a") == outer


@pytest.mark.parametrize(("name", "found"), [("empty", "no collection in it"), ("none", "no such folder")])
def test_a_named_folder_without_one_is_named(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CollectionError, match=found) as caught:
        find_collection(tmp_path / name)
    assert f"crossbit index {tmp_path / name}" in caught.value.hint


def test_none_upwards(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="no collection here or in a folder above"):
        find_collection(None, tmp_path)
