"""Data sets by name and by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.packaged import is_packaged
from crossbit.data.picto import assemble
from crossbit.data.sets import open_set
from crossbit.errors import ManifestError


def items(*sources: str) -> tuple[Item, ...]:
    captions = (Caption("cat"), Caption("Katze", "de"))
    return tuple(
        Item(f"{source}-{split}", "a.png", captions=captions, split=split, source=source)
        for source in sources
        for split in ("train", "test")
    )


@pytest.fixture
def picto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path))
    found = Manifest("picto", assemble.folder(), items("noto", "twemoji", "openmoji", "stamps", "clipart"))
    found.write(assemble.folder() / assemble.LISTING)
    return found


def test_a_manifest_is_itself_and_a_folder_its_manifest(tmp_path: Path) -> None:
    data = Manifest("one", tmp_path, items("noto"))
    assert open_set(data) is data
    data.write(tmp_path / "one.jsonl")
    assert open_set(tmp_path / "one.jsonl").items == data.items
    assert open_set(str(tmp_path)).fingerprint == data.fingerprint
    data.write(tmp_path / "two.jsonl")
    with pytest.raises(ManifestError, match="2 manifests"):
        open_set(tmp_path)
    data.write(tmp_path / "manifest.jsonl")
    assert open_set(tmp_path).items == data.items
    with pytest.raises(ManifestError, match="no such file"):
        open_set("nowhere")


def test_other_formats_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.txt").write_text("a cat\n")
    (item,) = open_set(tmp_path).items
    assert item.captions == (Caption("a cat"),)


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("picto", {"noto", "twemoji", "openmoji", "stamps"}),
        ("picto:clipart", {"clipart"}),
        ("picto:noto+clipart", {"noto", "clipart"}),
        ("picto:all", {"noto", "twemoji", "openmoji", "stamps", "clipart"}),
    ],
)
def test_parts_of_picto_are_named_after_a_colon(
    picto: Manifest, name: str, sources: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    found = open_set(name)
    assert ("without fluent-flat, fluent-3d" in caplog.text) == (name == "picto")  # what is missing is said
    assert {item.source for item in found} == sources
    assert found.name == name


def test_one_hand_is_held_out_whole(picto: Manifest) -> None:
    found = open_set("picto-hand", ["de"])
    assert {item.source for item in found.select("hand")} == {"openmoji"}
    assert len(found.select("hand")) == 2
    assert "openmoji" not in {item.source for split in ("train", "test") for item in found.select(split)}
    assert found.languages == ("de",)


def test_what_is_not_prepared_or_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path))
    with pytest.raises(ManifestError, match="(?s)not prepared yet.*crossbit data prepare picto"):
        open_set("picto")


def test_a_source_that_is_not_there_is_named(picto: Manifest) -> None:
    with pytest.raises(ManifestError, match=r"no items from \['clips'\]"):
        open_set("picto:clips")
    with pytest.raises(ManifestError, match="has one source"):
        open_set("openmoji:noto")


@pytest.mark.parametrize(
    ("name", "packaged"), [("picto:noto+stamps", True), ("openmoji-each", True), ("picto/x", False), ("picto:", False)]
)
def test_names_of_packaged_sets(name: str, packaged: bool) -> None:
    assert is_packaged(name) == packaged
