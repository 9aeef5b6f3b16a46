"""Licences: every source has one, every licence a class, and a list can be drawn by class."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data.manifest import Item, Manifest
from crossbit.data.picto.drawings import SETS
from crossbit.data.picto.licences import (
    CLASSES,
    LICENCES,
    class_of,
    of_licence,
    read_table,
    strictest,
    write_table,
)
from crossbit.errors import ConfigError, ManifestError


def manifest(*licences: str) -> Manifest:
    items = tuple(Item(id=str(n), path=f"{n}.png", licence=licence) for n, licence in enumerate(licences))
    return Manifest("toy", Path(), items)


def test_every_source_has_a_licence_of_a_class_and_names_its_authors() -> None:
    assert set(SETS) <= set(LICENCES)
    assert {class_of(licence.spdx) for licence in LICENCES.values()} == set(CLASSES)
    assert all(licence.attribution.endswith(".") and licence.package for licence in LICENCES.values())


@pytest.mark.parametrize(
    ("classes", "ids"),
    [
        (("permissive",), ["0", "1"]),
        (("share-alike",), ["2"]),
        (("permissive", "copyleft"), ["0", "1", "3"]),
    ],
)
def test_items_by_class(classes: tuple[str, ...], ids: list[str]) -> None:
    chosen = of_licence(manifest("MIT", "CC-BY-4.0", "CC-BY-SA-4.0", "GPL-2.0-or-later"), *classes)
    assert [item.id for item in chosen] == ids


def test_what_cannot_be_chosen_is_named() -> None:
    with pytest.raises(ConfigError, match="found 'free', expected of permissive, share-alike, copyleft"):
        of_licence(manifest("MIT"), "free")
    with pytest.raises(ManifestError, match="item '1' has no licence"):
        of_licence(manifest("MIT", ""), "permissive")
    with pytest.raises(ManifestError, match="licence 'WTFPL': in no class"):
        of_licence(manifest("WTFPL"), "permissive")
    with pytest.raises(ManifestError, match=r"no items of licence class copyleft, it has \['permissive'\]"):
        of_licence(manifest("MIT"), "copyleft")


def test_what_is_made_of_several_has_the_strictest() -> None:
    assert strictest(["MIT", "GPL-2.0-or-later", "CC-BY-SA-4.0"]) == "GPL-2.0-or-later"
    assert strictest(["CC-BY-SA-4.0", "MIT"]) == "CC-BY-SA-4.0"


def test_the_table_stands_beside_the_data(tmp_path: Path) -> None:
    assert read_table(tmp_path) == {}
    write_table(tmp_path, ["noto", "stamps", "noto"])
    table = read_table(tmp_path)
    assert list(table) == ["noto", "stamps", "names", "groups"]
    assert table["stamps"]["class"] == "copyleft"
    assert "Google" in table["noto"]["attribution"]
    (tmp_path / "LICENCES.json").write_text("{")
    with pytest.raises(ManifestError, match="expected JSON"):
        read_table(tmp_path)
